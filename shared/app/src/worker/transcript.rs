//! History of published images: they append without an ordinal, and may send the same entries again.

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationId, LeaseId, WorkerId};
use af_domain::message::{HistoryEntry, Role};
use af_domain::refusal::Refusal;
use af_domain::transcript::{AppendPlan, plan_append};
use af_store::conversation::{Append, LeaseRef};
use af_store::{StoreError, conversation_key};

use super::complete::MAX_REPLY_BYTES;
use super::history::{MAX_ENTRIES, check_entries};
use crate::settings::{message_config, policies};
use crate::worker::bundle::recent_history;
use crate::{App, AppError, Result};

/// Times that an append is decided again because another call of the same worker has appended meanwhile.
const MAX_TRIES: usize = 5;
/// How many of the newest entries are searched for the reply: it is appended just before the completion.
const LAST_ENTRIES: u64 = 4;

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transcribed {
    /// Whether the history holds the entries, by this call or an earlier one.
    pub updated: bool,
    /// Entries of the history that a bundle would hold now.
    pub message_count: u64,
}

/// Appends the entries of `worker` for the message that it runs in its conversation. No entry is written twice, and
/// the entries of an earlier attempt are replaced. When no message runs, nothing is written. Returns 404 if the
/// conversation is not the worker's, and 422 if an entry is too large.
pub async fn transcribe(
    app: &App,
    worker: &WorkerId,
    conversation: &ConversationId,
    said: &[HistoryEntry],
) -> Result<Transcribed> {
    let said = message_config::in_force(app).await?.without_prompt(said);
    check_entries("/messages", &said)?;
    let key = conversation_key(conversation);
    for _ in 0..MAX_TRIES {
        let found = app.store.conversation(&key, true).await?;
        let own = found.filter(|c| c.is_owned_by(worker));
        let missing = || Refusal::not_found(format!("conversation {conversation} of this worker"));
        let own = own.ok_or_else(missing)?;
        let updated = match write(app, worker, &own, &said).await? {
            Append::Done => !said.is_empty(),
            Append::LeaseLost => false,
            Append::OutOfOrder { .. } => continue,
        };
        let policies = policies::for_agent(app, &own.agent).await?;
        let message_count = Box::pin(recent_history(app, &key, None, &policies)).await?.entries();
        return Ok(Transcribed { updated, message_count });
    }
    Err(AppError::Overtaken("appending to the history"))
}

async fn write(
    app: &App,
    worker: &WorkerId,
    own: &Conversation,
    said: &[HistoryEntry],
) -> Result<Append, StoreError> {
    let Some(lease) = own.lease.as_ref().filter(|l| &l.worker == worker) else {
        return Ok(Append::LeaseLost);
    };
    let (stands, count) = app.store.entries_of_lease(&lease.id.parts(), MAX_ENTRIES as u64).await?;
    let AppendPlan::ReplaceFrom(from) = plan_append(&stands, said) else { return Ok(Append::Done) };
    let from = count - (stands.len() - from) as u64;
    let leased = LeaseRef { lease: &lease.id, message: Some(&lease.entry.message), worker };
    app.store.rewrite_if_leased(&leased, from, count, said).await
}

/// The agent's last entry under `lease`, cut to the size that is stored as a reply. Published images do not send their reply
/// with the completion.
pub async fn reply_under(app: &App, lease: &LeaseId) -> Result<Option<String>> {
    let (stands, _) = app.store.entries_of_lease(&lease.parts(), LAST_ENTRIES).await?;
    let reply = stands.into_iter().rev().find(|entry| entry.role == Role::Assistant);
    Ok(reply.map(|mut entry| {
        entry.content.truncate(entry.content.floor_char_boundary(MAX_REPLY_BYTES));
        entry.content
    }))
}
