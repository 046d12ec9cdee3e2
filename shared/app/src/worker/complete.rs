//! Complete: a worker ends a message with success.

use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::refusal::Refusal;
use af_store::conversation::{CompleteWith, Completed};

use super::history::{check_entries, check_tool_calls};
use super::metadata;
use crate::error::stale_lease;
use crate::settings::message_settings::Settings;
use crate::settings::policies;
use crate::{App, Result};

/// Most bytes of a reply that are stored. The message's item holds it beside the payload.
pub(super) const MAX_REPLY_BYTES: usize = 64 * 1024;

/// Completes `message`. A message that was cancelled meanwhile ends as cancelled. Returns 409 if the lease is not in
/// force, and 422 if a part of it is too large.
pub async fn complete(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    with: CompleteWith,
) -> Result<()> {
    let Settings { policies, message: config, .. } = policies::settings(app).await?;
    // The limits hold for what is stored. Workers send the text back with the global system prompt, which is not stored.
    let history = config.without_prompt(&with.history).into_owned();
    check_entries("/history", &history)?;
    check_tool_calls(with.pending_tool_calls.as_deref())?;
    if with.reply.as_ref().is_some_and(|r| r.len() > MAX_REPLY_BYTES) {
        return Err(
            Refusal::field("/reply", format!("reply may have at most {MAX_REPLY_BYTES} bytes")).into()
        );
    }
    let with = CompleteWith { history, metadata: metadata::within_limits(with.metadata), ..with };
    match app.store.complete_if_leased(lease, message, worker, &with, app.now(), &policies).await? {
        // The worker has nothing more to do in either case.
        Completed::Done | Completed::Cancelled => Ok(()),
        Completed::LeaseLost(_) => Err(stale_lease()),
    }
}
