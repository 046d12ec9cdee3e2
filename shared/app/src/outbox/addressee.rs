//! Where the reply of a message goes. It is resolved when the message is handed to a worker, from the binding that is in
//! force then: the user may have another chat than when the message was accepted, or none.

use af_domain::agent::{Binding, user_of};
use af_domain::conversation::Conversation;
use af_domain::ids::{AgentKey, BotIdentity, ConsumerUserId, ConversationId};
use af_domain::message::{Payload, SYSTEM_PUSH, TELEGRAM};
use af_store::StoreError;

use crate::App;

/// The user of a conversation, with the binding in force.
pub(crate) struct Addressee {
    user: ConsumerUserId,
    binding: Option<Binding>,
}

/// Reads the addressee of a conversation; `None` if it is not the conversation of a consumer user. The target of such a
/// message is in its payload.
pub(crate) async fn addressee(
    app: &App,
    conversation: &ConversationId,
    agent: &AgentKey,
) -> Result<Option<Addressee>, StoreError> {
    let Some(user) = user_of(conversation, agent) else { return Ok(None) };
    let binding = app.store.binding(&user, true).await?;
    Ok(Some(Addressee { user, binding }))
}

impl Addressee {
    /// Why the agent of `conversation` must not answer any more: the user is bound to another agent.
    pub fn refusal(&self, conversation: &Conversation) -> Option<String> {
        let binding = self.binding.as_ref().filter(|binding| binding.agent != conversation.agent)?;
        Some(format!("user {} is bound to agent {} by now", self.user, binding.agent))
    }

    /// The bot through which the user talks now.
    pub fn bot(&self) -> Option<BotIdentity> {
        Some(self.binding.as_ref()?.telegram.as_ref()?.bot.clone())
    }

    /// `payload` with the target that is in force: the user's chat, or no chat. A target that is neither Telegram nor the
    /// consumer app stays as the caller has chosen it.
    pub fn addressed(&self, mut payload: Payload, conversation: &ConversationId) -> Payload {
        if payload.provider != TELEGRAM && payload.provider != SYSTEM_PUSH {
            return payload;
        }
        let binding = self.binding.as_ref().filter(|binding| binding.conversation == *conversation);
        let telegram = binding.and_then(|binding| binding.telegram.as_ref());
        let chat = telegram.and_then(|telegram| {
            // A private chat has the id of its person. So a message of the bound person is answered where it came from.
            let came_from = |id: &&_| *id == payload.provider_user_id;
            telegram.chat.as_ref().or_else(|| telegram.user.as_ref().filter(|id| came_from(&id.as_str())))
        });
        let (provider, target) = match chat {
            Some(chat) => (TELEGRAM, chat.to_string()),
            None => (SYSTEM_PUSH, self.user.to_string()),
        };
        provider.clone_into(&mut payload.provider);
        payload.metadata.insert("providerUserId".to_owned(), target.clone());
        payload.provider_user_id = target;
        payload
    }
}
