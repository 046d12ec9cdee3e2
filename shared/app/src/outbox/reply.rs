//! Where the reply to a message goes, and its place in the outbox there.

use af_domain::agent::user_of;
use af_domain::ids::{BotIdentity, ConsumerUserId};
use af_domain::message::{Message, Payload, TELEGRAM};
use af_domain::outbox::{Chat, Content, Entry};
use af_domain::time::Millis;
use af_store::outbox::NewEntry;

use super::addressee::addressee;
use crate::agents::profiles;
use crate::{App, Result};

/// The call that completes a message sends the reply. What it has not sent by then, the schedule sends.
const SCHEDULE_TAKES_OVER_AFTER: Millis = Millis::from_secs(20);

/// Where the reply to a message goes.
pub(crate) struct Destination {
    /// The chat.
    pub chat: Chat,
    /// The consumer user whose chat it is.
    pub user: Option<ConsumerUserId>,
    /// The forum topic.
    pub topic: Option<i64>,
}

/// Returns where the reply to `message` goes; `None` if it does not go to Telegram. The reply to a consumer user goes to the
/// chat that the user has now.
pub(crate) async fn destination(app: &App, message: &Message) -> Result<Option<Destination>> {
    let addressee = addressee(app, &message.conversation, &message.agent).await?;
    let payload = match &addressee {
        Some(addressee) => addressee.addressed(message.payload.clone(), &message.conversation),
        None => message.payload.clone(),
    };
    if payload.provider != TELEGRAM {
        return Ok(None);
    }
    let bot = match addressee.and_then(|addressee| addressee.bot()) {
        Some(bot) => Some(bot),
        None => bot_of(app, message).await?,
    };
    let (Some(bot), Ok(id)) = (bot, payload.provider_user_id.parse()) else {
        tracing::warn!(message = %message.id, "a message from Telegram has no chat to answer in");
        return Ok(None);
    };
    // The topics of another chat are others.
    let is_same_chat = payload.provider_user_id == message.payload.provider_user_id;
    let topic = topic(&payload).filter(|_| is_same_chat);
    let user = user_of(&message.conversation, &message.agent);
    Ok(Some(Destination { chat: Chat { bot, id }, user, topic }))
}

/// The outbox entry for the reply to `message`; `None` if the reply does not go to Telegram.
pub(crate) async fn entry_for_reply(app: &App, message: &Message) -> Result<Option<NewEntry>> {
    let Some(Destination { chat, user, topic }) = destination(app, message).await? else { return Ok(None) };
    let entry = Entry {
        id: message.id.to_string(),
        content: Content::Reply(message.id.clone()),
        user,
        topic,
        moved_to: None,
        queued_at: app.now(),
        waits: 0,
        parts: Vec::new(),
    };
    Ok(Some(NewEntry { chat, entry, due_at: app.now() + SCHEDULE_TAKES_OVER_AFTER }))
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
