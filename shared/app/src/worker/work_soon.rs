//! Answers the question of a published image whether it should wait for more work of its conversation.

use af_domain::ids::{ConversationId, WorkerId};
use af_domain::refusal::Refusal;
use af_store::conversation_key;

use crate::settings::policies;
use crate::{App, Result};

/// Whether `worker`'s conversation has work that is due, or that waits for a retry which comes within the idle
/// timeout. Returns 404 if the conversation is not the worker's.
pub async fn has_work_soon(app: &App, worker: &WorkerId, conversation: &ConversationId) -> Result<bool> {
    let found = app.store.conversation(&conversation_key(conversation), true).await?;
    let own = found.filter(|c| c.is_owned_by(worker));
    let own = own.ok_or_else(|| Refusal::not_found(format!("conversation {conversation} of this worker")))?;
    let policies = policies::for_agent(app, &own.agent).await?;
    Ok(own.has_work_soon(app.now(), &policies))
}
