//! Appending to a conversation's history while its message runs.

use af_domain::ids::{ConversationId, LeaseId, WorkerId};
use af_domain::message::{HistoryEntry, PendingToolCall, Role};
use af_domain::refusal::{Code, Refusal};
use af_store::conversation::{Append, LeaseRef};
use af_store::conversation_key;

use crate::error::stale_lease;
use crate::settings::message_config;
use crate::{App, AppError};

/// Most entries of one append: a transaction takes 100 writes, and its other ones must fit.
pub(crate) const ENTRIES_MAX: usize = 50;
/// The place after the last that an entry can have under one lease: places are six digits long.
const PLACES: u64 = 1_000_000;
/// Most bytes of one entry.
pub(crate) const ENTRY_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of all entries of one call; a transaction takes 4 MB.
pub(crate) const ENTRIES_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Most pending tool calls of a conversation.
pub(crate) const TOOL_CALLS_MAX: usize = 100;
/// Most bytes of one: all of them stand in one item, and come with every bundle.
const TOOL_CALL_BYTES_MAX: usize = 1_000;

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
) -> Result<(), AppError> {
    check_tool_calls(pending_tool_calls)?;
    // Only what the person said can have been handed out with more than the person said.
    let entries = match entries.iter().any(|entry| entry.role == Role::User) {
        true => message_config::in_force(app).await?.without_prompt(entries),
        false => entries.into(),
    };
    check_entries("/messages", &entries)?;
    if ordinal > PLACES - ENTRIES_MAX as u64 {
        let most = PLACES - ENTRIES_MAX as u64;
        let detail = format!("ordinal counts what was appended under this lease before, at most {most}");
        return Err(Refusal::field("/ordinal", detail).into());
    }
    if lease.parts().conversation != conversation_key(conversation) {
        return Err(stale_lease());
    }
    let held = LeaseRef { lease, message: None, worker };
    match app.store.append_if_leased(&held, ordinal, &entries, pending_tool_calls).await? {
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
    if entries.len() > ENTRIES_MAX {
        return Err(Refusal::field(pointer, format!("at most {ENTRIES_MAX} entries fit into one call")));
    }
    for (i, entry) in entries.iter().enumerate() {
        if entry.content.len() > ENTRY_BYTES_MAX {
            let detail = format!(
                "an entry may have at most {ENTRY_BYTES_MAX} bytes, this one has {}",
                entry.content.len()
            );
            return Err(Refusal::field(format!("{pointer}/{i}/content"), detail));
        }
    }
    let bytes: usize = entries.iter().map(|e| e.content.len()).sum();
    if bytes > ENTRIES_BYTES_MAX {
        let detail =
            format!("all entries of one call may have at most {ENTRIES_BYTES_MAX} bytes, these have {bytes}");
        return Err(Refusal::field(pointer, detail));
    }
    Ok(())
}

pub(crate) fn check_tool_calls(calls: Option<&[PendingToolCall]>) -> Result<(), Refusal> {
    let calls = calls.unwrap_or_default();
    if calls.len() > TOOL_CALLS_MAX {
        return Err(Refusal::field(
            "/pendingToolCalls",
            format!("at most {TOOL_CALLS_MAX} tool calls may be pending"),
        ));
    }
    let bytes = |c: &PendingToolCall| c.tool_name.len() + c.call_id.len() + c.status.len();
    match calls.iter().position(|c| bytes(c) > TOOL_CALL_BYTES_MAX) {
        Some(i) => Err(Refusal::field(
            format!("/pendingToolCalls/{i}"),
            format!("toolName, callId and status may have at most {TOOL_CALL_BYTES_MAX} bytes together"),
        )),
        None => Ok(()),
    }
}
