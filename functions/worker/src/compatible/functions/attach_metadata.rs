//! `workerAttachMessageMetadata {messageId, metadata}` → boolean

use std::collections::BTreeMap;

use af_app::AppError;
use af_app::worker::attach;
use af_domain::ids::MessageId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::done;
use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    message_id: String,
    metadata: BTreeMap<String, String>,
}

/// Merges metadata into the message that the caller runs; `false` when it does not hold the message's lease.
///
/// # Errors
/// 422 when it is too much.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let Ok(message) = MessageId::parse(args.message_id) else { return Ok(json!(false)) };
    done(attach(&call.app, &call.worker, &message, None, &args.metadata).await)
}
