//! Complete: a worker ends a message with success.

use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::message::Reply;
use af_domain::refusal::Refusal;
use af_store::conversation::{CompleteWith, Completed};
use af_store::outbox::NewEntry;

use super::history::{check_entries, check_tool_calls};
use super::metadata;
use crate::error::stale_lease;
use crate::outbox::{self, entry_for_reply};
use crate::settings::message_settings::Settings;
use crate::settings::policies;
use crate::{App, Result};

/// Most bytes of a reply that are stored. The message's item holds it beside the payload.
pub(super) const MAX_REPLY_BYTES: usize = 64 * 1024;

/// Who brings the reply to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveredBy {
    /// This system, through the outbox.
    Outbox,
    /// The worker has done it itself.
    Worker,
}

/// Completes `message`. A message that was cancelled meanwhile ends as cancelled, and its reply is not sent. Returns 409
/// if the lease is not in force, and 422 if a part of it is too large.
pub async fn complete(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    with: CompleteWith,
    delivered_by: DeliveredBy,
) -> Result<()> {
    let Settings { policies, message: config, .. } = policies::settings(app).await?;
    // The limits hold for what is stored. Workers send the text back with the global system prompt, which is not stored.
    let history = config.without_prompt(&with.history).into_owned();
    check_entries("/history", &history)?;
    check_tool_calls(with.pending_tool_calls.as_deref())?;
    if with.reply.as_ref().is_some_and(|r| r.text.len() > MAX_REPLY_BYTES) {
        let detail = format!("reply may have at most {MAX_REPLY_BYTES} bytes");
        return Err(Refusal::field("/reply/text", detail).into());
    }
    let delivery = match (delivered_by, &with.reply) {
        (DeliveredBy::Outbox, Some(reply)) => outbox_entry(app, message, reply).await?,
        _ => None,
    };
    let metadata = metadata::within_limits(with.metadata);
    let with = CompleteWith { history, metadata, delivery, ..with };
    match app.store.complete_if_leased(lease, message, worker, &with, app.now(), &policies).await? {
        Completed::Done => {}
        // The worker has nothing more to do.
        Completed::Cancelled => return Ok(()),
        Completed::LeaseLost(_) => return Err(stale_lease()),
    }
    if let Some(new) = with.delivery
        && let Err(error) = Box::pin(outbox::deliver(app, &new.chat, outbox::COMPLETION_SENDS_FOR)).await
    {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, %message, "the reply was not sent; the schedule tries again");
    }
    Ok(())
}

/// The outbox entry of a reply that shows something and goes to Telegram.
async fn outbox_entry(app: &App, id: &MessageId, reply: &Reply) -> Result<Option<NewEntry>> {
    if reply.text.trim().is_empty() {
        return Ok(None);
    }
    // The message is older than its claim, so a replica rarely lacks it.
    let message = match app.store.message(id, app.now(), false).await? {
        Some(message) => Some(message),
        None => app.store.message(id, app.now(), true).await?,
    };
    match message {
        Some(message) => entry_for_reply(app, &message).await,
        None => Ok(None),
    }
}
