//! Reading a conversation.

use af_domain::conversation::Conversation;
use af_domain::ids::ConversationId;
use af_domain::refusal::Refusal;
use af_store::conversation_key;

use crate::{App, Result};

/// Returns the conversation `id`, strongly consistent, or 404 if there is none.
pub async fn get(app: &App, id: &ConversationId) -> Result<Conversation> {
    let found = app.store.conversation(&conversation_key(id), true).await?;
    found.ok_or_else(|| Refusal::not_found(format!("conversation {id}")).into())
}
