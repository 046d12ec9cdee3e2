//! `workerAppendConversationMessages {conversationId, workspaceId?, messages: [{role, content, at?}]}` →
//! `{updated, messageCount}`

use af_app::AppError;
use af_app::worker::transcribe;
use af_domain::ids::ConversationId;
use af_domain::message::{HistoryEntry, Role};
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use af_http::Id;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    conversation_id: Id<ConversationId>,
    messages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    role: String,
    content: String,
    #[serde(default)]
    at: Option<u64>,
}

/// Appends to the history of the caller's conversation, once however often it is sent. `updated` is false when it runs
/// no message, or has nothing to say.
///
/// # Errors
/// 404 when the conversation is not the caller's, 422 for a role that there is not and for what is too large.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let now = call.app.now();
    let entries = args.messages.into_iter().enumerate().map(|(i, entry)| entry.read(i, now));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let appended = transcribe(&call.app, &call.worker, &args.conversation_id.0, &entries).await?;
    Ok(json!({"updated": appended.updated, "messageCount": appended.message_count}))
}

impl Entry {
    fn read(self, index: usize, now: Timestamp) -> Result<HistoryEntry, Refusal> {
        let unknown = || {
            let pointer = format!("/messages/{index}/role");
            Refusal::field(pointer, "role must be one of user, assistant, system, tool")
        };
        let role = Role::parse(&self.role).ok_or_else(unknown)?;
        Ok(HistoryEntry { role, content: self.content, at: self.at.map_or(now, Timestamp::from_millis) })
    }
}
