//! `workerAppendConversationMessages {conversationId, workspaceId?, messages: [{role, content, at?}]}` →
//! `{updated, messageCount}`

use af_api::worker::compatible::{AppendArgs, Appended, AppendedEntry};
use af_api::worker::history::HistoryEntry;
use af_app::AppError;
use af_app::worker::transcribe;

use crate::compatible::call::Call;
use crate::conversions::history;

/// Appends to the history of the caller's conversation. A repeated call appends nothing again. `updated` is false when
/// the caller runs no message of the conversation, or when there are no entries.
///
/// # Errors
/// 404 when the conversation is not the caller's, 422 for an unknown role and for entries that are too large.
pub async fn run(mut call: Call) -> Result<Appended, AppError> {
    let args: AppendArgs = call.args()?;
    let entries = args.messages.into_iter().map(|AppendedEntry { role, content, at }| HistoryEntry {
        role,
        content,
        at,
    });
    let entries = history("/messages", entries.collect(), call.app.now())?;
    let appended = transcribe(&call.app, &call.worker, &args.conversation_id.0, &entries).await?;
    Ok(Appended { updated: appended.updated, message_count: appended.message_count })
}
