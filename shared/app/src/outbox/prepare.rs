//! Everything that is read before a part is sent: the text, the person whose chat it must be, and the bot's token.

use af_domain::agent::{Binding, bot_token_ref};
use af_domain::ids::SecretRef;
use af_domain::message::{Payload, ReplyFormat, TELEGRAM};
use af_domain::outbox::{Chat, Content, DeliveryState, Entry};
use af_telegram::{Markup, TextPart, text_parts};
use secrecy::SecretString;

use crate::{App, Result};

/// Most messages that one reply may take. Telegram accepts about one a second for a chat.
const MAX_PARTS: usize = 100;

/// What is to be done with an entry.
pub(super) enum Prepared {
    /// These parts are sent with this token, the first one as a reply to the message with the number `reply_to`.
    Parts { parts: Vec<TextPart>, token: SecretString, token_ref: SecretRef, reply_to: Option<i64> },
    /// The entry ends without being sent, or being sent any further.
    Ended { state: DeliveryState, reason: String },
    /// The entry waits until an operator has imported the bot's token.
    NoToken,
}

/// Prepares the entry at the head of the outbox of `chat`.
pub(super) async fn prepare(app: &App, chat: &Chat, entry: &Entry) -> Result<Prepared> {
    let ended = |state, reason: &str| Ok(Prepared::Ended { state, reason: reason.to_owned() });
    let (text, recipient, bot) =
        tokio::join!(text(app, chat, entry), is_still_theirs(app, chat, entry), app.store.bot(&chat.bot));
    if !recipient? {
        return ended(DeliveryState::Cancelled, "rebound");
    }
    let Some(Text { text, markup, reply_to }) = text? else {
        return ended(DeliveryState::Failed, "the message has expired");
    };
    let Some(bot) = bot? else {
        return ended(DeliveryState::Failed, "the bot belongs to no agent any more");
    };
    let parts = text_parts(&text, markup);
    if parts.len() > MAX_PARTS {
        let reason = format!("the reply takes {} messages, but at most {MAX_PARTS} are sent", parts.len());
        return ended(DeliveryState::Failed, &reason);
    }
    let token_ref = bot_token_ref(&bot.agent);
    match app.secrets.get(&token_ref, app.now()).await? {
        Some(token) => Ok(Prepared::Parts { parts, token, token_ref, reply_to }),
        None => Ok(Prepared::NoToken),
    }
}

/// The text of an entry.
struct Text {
    text: String,
    markup: Markup,
    /// The message of the group that it answers.
    reply_to: Option<i64>,
}

/// The text of an entry; `None` if its message is gone.
async fn text(app: &App, chat: &Chat, entry: &Entry) -> Result<Option<Text>> {
    let id = match &entry.content {
        Content::Notice(text) => {
            return Ok(Some(Text { text: text.clone(), markup: Markup::Plain, reply_to: None }));
        }
        Content::Reply(id) => id,
    };
    let Some(message) = app.store.message(id, app.now(), true).await? else { return Ok(None) };
    let reply_to = answered_in(chat, &message.payload);
    Ok(message.reply.map(|reply| {
        let markup = match reply.format {
            ReplyFormat::Plain => Markup::Plain,
            ReplyFormat::Html => Markup::Html,
            ReplyFormat::Markdown => Markup::Markdown,
        };
        Text { text: reply.text, markup, reply_to }
    }))
}

/// The number of the message in a group that is answered, so that its author sees the answer among the words of others. In a
/// private chat nothing is quoted.
fn answered_in(chat: &Chat, payload: &Payload) -> Option<i64> {
    let is_of_chat = payload.provider == TELEGRAM && payload.provider_user_id == chat.id.to_string();
    let id = payload.external_message_id.as_ref().filter(|_| is_of_chat && chat.id < 0)?;
    id.parse().ok()
}

/// Whether the chat is still that of the user whom the entry is for.
async fn is_still_theirs(app: &App, chat: &Chat, entry: &Entry) -> Result<bool> {
    let Some(user) = &entry.user else { return Ok(true) };
    let binding = app.store.binding(user, true).await?;
    Ok(binding.is_some_and(|binding| is_chat_of(&binding, chat)))
}

/// Whether `chat` is the chat of the bound person.
fn is_chat_of(binding: &Binding, chat: &Chat) -> bool {
    let Some(telegram) = &binding.telegram else { return false };
    let id = chat.id.to_string();
    // A private chat has the id of its person.
    let known = telegram.chat.as_ref().or(telegram.user.as_ref());
    telegram.bot == chat.bot && known.is_some_and(|known| known.as_str() == id)
}
