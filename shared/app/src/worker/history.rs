//! Appending to a conversation's history while its message runs.

use af_domain::ids::{ConversationId, LeaseId, WorkerId};
use af_domain::message::{HistoryEntry, PendingToolCall, Role};
use af_domain::refusal::{Code, Refusal};
use af_store::conversation::{Append, LeaseRef};
use af_store::conversation_key;

use crate::error::stale_lease;
use crate::settings::message_config;
use crate::{App, Result};

/// Most entries of one append: a transaction takes 100 writes, and the other ones must fit.
pub(crate) const MAX_ENTRIES: usize = 50;
/// How many entries one lease can have: an entry's sort key has six digits for its ordinal.
const MAX_ORDINALS: u64 = 1_000_000;
/// Most bytes of one entry.
pub(crate) const MAX_ENTRY_BYTES: usize = 256 * 1024;
/// Most bytes of all entries of one call; a transaction takes 4 MB.
pub(crate) const MAX_CALL_BYTES: usize = 2 * 1024 * 1024;
/// Most pending tool calls of a conversation.
pub(crate) const MAX_TOOL_CALLS: usize = 100;
/// Most bytes of one tool call. All of them are in one item, which every bundle reads.
const MAX_TOOL_CALL_BYTES: usize = 1_000;

/// Appends `entries` under `lease`. `ordinal` counts the entries appended under it before.
///
/// # Errors
/// 409 when the lease is not in force or the ordinal does not follow; 422 when an entry is too large, or the ordinal
/// larger than any that can follow.
pub async fn append(
    app: &App,
    worker: &WorkerId,
    conversation: &ConversationId,
    lease: &LeaseId,
    ordinal: u64,
    entries: &[HistoryEntry],
    pending_tool_calls: Option<&[PendingToolCall]>,
) -> Result<()> {
    check_tool_calls(pending_tool_calls)?;
    // Only the person's text is delivered with the global system prompt, which is not stored.
    let entries = if entries.iter().any(|entry| entry.role == Role::User) {
        message_config::in_force(app).await?.without_prompt(entries)
    } else {
        entries.into()
    };
    check_entries("/messages", &entries)?;
    let most = MAX_ORDINALS - MAX_ENTRIES as u64;
    if ordinal > most {
        let detail = format!("ordinal counts what was appended under this lease before, at most {most}");
        return Err(Refusal::field("/ordinal", detail).into());
    }
    if lease.parts().conversation != conversation_key(conversation) {
        return Err(stale_lease());
    }
    let leased = LeaseRef { lease, message: None, worker };
    match app.store.append_if_leased(&leased, ordinal, &entries, pending_tool_calls).await? {
        Append::Done => Ok(()),
        Append::LeaseLost => Err(stale_lease()),
        Append::OutOfOrder { expected } => {
            let detail =
                format!("this lease has {expected} entries; send the next ones with ordinal {expected}");
            Err(Refusal { pointer: Some("/ordinal".into()), ..Refusal::new(Code::OutOfOrder, detail) }.into())
        }
    }
}

pub(crate) fn check_entries(pointer: &str, entries: &[HistoryEntry]) -> Result<(), Refusal> {
    if entries.len() > MAX_ENTRIES {
        return Err(Refusal::field(pointer, format!("at most {MAX_ENTRIES} entries fit into one call")));
    }
    for (i, entry) in entries.iter().enumerate() {
        if entry.content.len() > MAX_ENTRY_BYTES {
            let detail = format!(
                "an entry may have at most {MAX_ENTRY_BYTES} bytes, this one has {}",
                entry.content.len()
            );
            return Err(Refusal::field(format!("{pointer}/{i}/content"), detail));
        }
    }
    let bytes: usize = entries.iter().map(|e| e.content.len()).sum();
    if bytes > MAX_CALL_BYTES {
        let detail =
            format!("all entries of one call may have at most {MAX_CALL_BYTES} bytes, these have {bytes}");
        return Err(Refusal::field(pointer, detail));
    }
    Ok(())
}

pub(crate) fn check_tool_calls(calls: Option<&[PendingToolCall]>) -> Result<(), Refusal> {
    let calls = calls.unwrap_or_default();
    if calls.len() > MAX_TOOL_CALLS {
        return Err(Refusal::field(
            "/pendingToolCalls",
            format!("at most {MAX_TOOL_CALLS} tool calls may be pending"),
        ));
    }
    let bytes = |c: &PendingToolCall| c.tool_name.len() + c.call_id.len() + c.status.len();
    match calls.iter().position(|c| bytes(c) > MAX_TOOL_CALL_BYTES) {
        Some(i) => Err(Refusal::field(
            format!("/pendingToolCalls/{i}"),
            format!("toolName, callId and status may have at most {MAX_TOOL_CALL_BYTES} bytes together"),
        )),
        None => Ok(()),
    }
}
