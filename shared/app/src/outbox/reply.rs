//! The place of a reply in an outbox.

use af_domain::agent::user_of;
use af_domain::ids::BotIdentity;
use af_domain::message::{Message, Payload, TELEGRAM};
use af_domain::outbox::{Chat, Content, Entry};
use af_domain::time::Millis;
use af_store::outbox::NewEntry;

use super::addressee::addressee;
use crate::agents::profiles;
use crate::{App, Result};

/// How long the invocation that completes a message may take to send the reply, before the schedule looks after it.
const OWN_TIME: Millis = Millis::from_secs(20);

/// The outbox entry for the reply to `message`; `None` if the reply does not go to Telegram. The reply of a consumer
/// user's message goes to the chat that the user has now.
pub(crate) async fn entry_for_reply(app: &App, message: &Message) -> Result<Option<NewEntry>> {
    let user = user_of(&message.conversation, &message.agent);
    let came_from = message.payload.provider_user_id.clone();
    let mut payload = message.payload.clone();
    let mut bot = None;
    if user.is_some()
        && let Some(addressee) = addressee(app, &message.conversation, &message.agent).await?
    {
        bot = addressee.bot();
        payload = addressee.addressed(payload, &message.conversation);
    }
    if payload.provider != TELEGRAM {
        return Ok(None);
    }
    let bot = match bot {
        Some(bot) => Some(bot),
        None => bot_of(app, message).await?,
    };
    let (Some(bot), Ok(id)) = (bot, payload.provider_user_id.parse()) else {
        tracing::warn!(message = %message.id, "a reply has no Telegram chat; it is kept with its message");
        return Ok(None);
    };
    let entry = Entry {
        id: message.id.to_string(),
        content: Content::Reply(message.id.clone()),
        user,
        // The topics of another chat are others.
        topic: topic(&payload).filter(|_| payload.provider_user_id == came_from),
        moved_to: None,
        queued_at: app.now(),
        waits: 0,
        parts: Vec::new(),
    };
    Ok(Some(NewEntry { chat: Chat { bot, id }, entry, due_at: app.now() + OWN_TIME }))
}

/// The bot of a message that is not of a consumer user: the one that received it, or that of the agent.
async fn bot_of(app: &App, message: &Message) -> Result<Option<BotIdentity>> {
    let received_by = message.conversation.as_str().strip_prefix("telegram:").and_then(|rest| {
        let (bot, _) = rest.split_once(':')?;
        BotIdentity::parse(bot).ok()
    });
    if received_by.is_some() {
        return Ok(received_by);
    }
    Ok(profiles::known(app, &message.agent).await?.and_then(|profile| profile.bot).map(|bot| bot.identity))
}

/// The forum topic of a message. Elsewhere a thread id is a chain of replies, to which nothing can be sent.
fn topic(payload: &Payload) -> Option<i64> {
    payload.metadata.get("telegramIsTopicMessage").filter(|is_topic| *is_topic == "true")?;
    payload.metadata.get("telegramThreadId")?.parse().ok()
}
