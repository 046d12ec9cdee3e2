//! Everything that is read before a part is sent: the text, the person whose chat it must be, and the bot's token.

use af_domain::agent::{Binding, bot_token_ref};
use af_domain::ids::SecretRef;
use af_domain::message::ReplyFormat;
use af_domain::outbox::{Chat, Content, DeliveryState, Entry};
use af_telegram::{Markup, TextPart, text_parts};
use secrecy::SecretString;

use crate::{App, Result};

/// Most messages that one reply may take. Telegram accepts about one a second for a chat.
const MAX_PARTS: usize = 100;

/// What is to be done with an entry.
pub(super) enum Prepared {
    /// These parts are sent with this token.
    Parts { parts: Vec<TextPart>, token: SecretString, token_ref: SecretRef },
    /// The entry ends without being sent, or being sent any further.
    Ended { state: DeliveryState, reason: String },
    /// The entry waits until an operator has imported the bot's token.
    NoToken,
}

/// Prepares the entry at the head of the outbox of `chat`.
pub(super) async fn prepare(app: &App, chat: &Chat, entry: &Entry) -> Result<Prepared> {
    let ended = |state, reason: &str| Ok(Prepared::Ended { state, reason: reason.to_owned() });
    let (text, recipient, bot) =
        tokio::join!(text(app, entry), is_still_theirs(app, chat, entry), app.store.bot(&chat.bot));
    if !recipient? {
        return ended(DeliveryState::Cancelled, "rebound");
    }
    let Some((text, markup)) = text? else {
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
        Some(token) => Ok(Prepared::Parts { parts, token, token_ref }),
        None => Ok(Prepared::NoToken),
    }
}

/// The text of an entry; `None` if its message is gone.
async fn text(app: &App, entry: &Entry) -> Result<Option<(String, Markup)>> {
    match &entry.content {
        Content::Notice(text) => Ok(Some((text.clone(), Markup::Plain))),
        Content::Reply(id) => {
            let message = app.store.message(id, app.now(), true).await?;
            Ok(message.and_then(|message| message.reply).map(|reply| {
                let markup = match reply.format {
                    ReplyFormat::Plain => Markup::Plain,
                    ReplyFormat::Html => Markup::Html,
                    ReplyFormat::Markdown => Markup::Markdown,
                };
                (reply.text, markup)
            }))
        }
    }
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
