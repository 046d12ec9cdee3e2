//! `workerAttachMessageMetadata {messageId, metadata}` → boolean

use af_api::worker::compatible::AttachMetadataArgs;
use af_app::AppError;
use af_app::worker::attach;
use af_domain::ids::MessageId;

use crate::compatible::call::Call;
use crate::compatible::outcome::is_done;

/// Merges metadata into the message that the caller runs; `false` when the caller does not hold the message's lease.
///
/// # Errors
/// 422 when the metadata is too large.
pub async fn run(mut call: Call) -> Result<bool, AppError> {
    let args: AttachMetadataArgs = call.args()?;
    let Ok(message) = MessageId::parse(args.message_id) else { return Ok(false) };
    is_done(attach(&call.app, &call.worker, &message, None, &args.metadata).await)
}
