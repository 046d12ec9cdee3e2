//! The agent and the conversation of an update.
//!
//! A private chat has the conversation of its bound user. Every other chat has a conversation of its own with the agent of
//! the bot: a group must never enter the private conversation of a user.

use af_domain::agent::{Binding, Bot, TelegramIdentity};
use af_domain::ids::{AgentKey, ConversationId, TelegramUserId};
use af_domain::ingress::{ConversationPer, IngressRules};
use af_store::conversation_key;
use af_store::group::GroupLine;
use af_telegram::update::Origin;

use crate::agents::bindings::of_sender;
use crate::agents::profiles;
use crate::{App, AppError, Result};

/// The target of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The agent that receives the message.
    pub agent: AgentKey,
    /// The conversation.
    pub conversation: ConversationId,
    /// What was said in the group since its last message.
    pub lines: Vec<GroupLine>,
}

/// Returns the target of an update; `None` if its sender may not write, because no binding names the sender.
pub(super) async fn target(
    app: &App,
    bot: &Bot,
    rules: &IngressRules,
    origin: &Origin,
) -> Result<Option<Target>> {
    if origin.is_private() {
        // Without any use for a binding, there is nothing to read.
        let reads = rules.resolve_agent_from_binding || rules.require_binding;
        let bound = if reads { binding(app, bot, origin).await? } else { None };
        return Ok(match bound {
            Some(bound) if rules.resolve_agent_from_binding => {
                Some(Target { agent: bound.agent, conversation: bound.conversation, lines: Vec::new() })
            }
            None if rules.require_binding => None,
            _ => {
                let conversation = own_conversation(bot, origin.chat_id, None)?;
                Some(Target { agent: agent_of(app, bot, rules).await?, conversation, lines: Vec::new() })
            }
        });
    }
    let topic = origin.topic.filter(|_| rules.conversation_per == ConversationPer::Topic);
    let own = own_conversation(bot, origin.chat_id, topic)?;
    let is_bound = async {
        match rules.require_binding {
            true => Ok::<_, AppError>(binding(app, bot, origin).await?.is_some()),
            false => Ok(true),
        }
    };
    let key = conversation_key(&own);
    let group = app.store.group(&bot.identity, origin.chat_id, &key, app.now());
    let (group, is_bound) = tokio::join!(group, is_bound);
    if !is_bound? {
        return Ok(None);
    }
    let mut group = group?;
    // A topic began after the group became a supergroup, so only the chat as a whole goes on with another conversation.
    let conversation = match group.continues.take().filter(|_| topic.is_none()) {
        Some(earlier) => {
            let key = conversation_key(&earlier);
            group = app.store.group(&bot.identity, origin.chat_id, &key, app.now()).await?;
            earlier
        }
        None => own,
    };
    Ok(Some(Target { agent: agent_of(app, bot, rules).await?, conversation, lines: group.lines }))
}

/// Lets the supergroup `to` go on with the conversation of the group `from`.
pub(super) async fn continue_in(app: &App, bot: &Bot, from: i64, to: i64) -> Result<()> {
    let own = own_conversation(bot, from, None)?;
    let before = app.store.group(&bot.identity, from, &conversation_key(&own), app.now()).await?;
    let conversation = before.continues.unwrap_or(own);
    app.store.continue_chat_if_new(&bot.identity, to, &conversation).await?;
    Ok(())
}

/// Returns the binding of the sender, or of a private chat. The id of a chat that writes in a group is no user id, so it
/// finds nothing.
async fn binding(app: &App, bot: &Bot, origin: &Origin) -> Result<Option<Binding>> {
    let person = |id: i64| TelegramUserId::parse(id.to_string()).ok();
    let chat = person(origin.chat_id).filter(|_| origin.is_private());
    let sender = TelegramIdentity { bot: bot.identity.clone(), user: person(origin.user_id), chat };
    if sender.user.is_none() && sender.chat.is_none() {
        return Ok(None);
    }
    of_sender(app, bot, &sender).await
}

/// The agent of the bot. A bot whose agent was deleted has the fallback.
async fn agent_of(app: &App, bot: &Bot, rules: &IngressRules) -> Result<AgentKey> {
    // Only a profile that seems to be missing is read again.
    let exists =
        profiles::known(app, &bot.agent).await?.is_some() || profiles::now(app, &bot.agent).await?.is_some();
    Ok(if exists { bot.agent.clone() } else { rules.fallback_agent.clone() })
}

fn own_conversation(bot: &Bot, chat: i64, topic: Option<i64>) -> Result<ConversationId> {
    let chat = format!("telegram:{}:{chat}", bot.identity);
    Ok(ConversationId::parse(match topic {
        Some(topic) => format!("{chat}:{topic}"),
        None => chat,
    })?)
}
