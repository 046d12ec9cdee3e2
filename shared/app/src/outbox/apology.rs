//! The notice for a person whose message will not be answered.

use af_domain::agent::user_of;
use af_domain::conversation::{Conversation, FailedAttempt, Outcome};
use af_domain::message::PUSH_MODE;
use af_domain::notice::NoticeKind;
use af_store::outbox::NewEntry;

use super::notice::{notice, text_of};
use super::reply::{Destination, destination};
use crate::settings::ingress_config;
use crate::{App, Result};

/// The notice about the end of `back`, an attempt of a message of `conversation`; `None` unless the message becomes a dead
/// letter whose reply would go to Telegram. It is written in the transaction that ends the attempt.
pub(crate) async fn apology(
    app: &App,
    conversation: &Conversation,
    back: &FailedAttempt,
) -> Result<Option<NewEntry>> {
    if back.outcome != Outcome::DeadLettered || !may_have_a_chat(conversation) {
        return Ok(None);
    }
    let rules = ingress_config::for_agent(app, &conversation.agent).await?;
    let Some(text) = text_of(app, &rules.texts, NoticeKind::Failure, &conversation.agent).await? else {
        return Ok(None);
    };
    let Some(message) = app.store.message(&back.entry.message, app.now(), false).await? else {
        return Ok(None);
    };
    // The person has not asked anything.
    if message.payload.metadata.contains_key(PUSH_MODE) {
        return Ok(None);
    }
    let to = destination(app, &message).await?;
    Ok(to.map(|Destination { chat, user, topic }| notice(app, chat, topic, user, &text)))
}

/// Whether a person writes in this conversation: a consumer user, or a person in a Telegram chat.
fn may_have_a_chat(conversation: &Conversation) -> bool {
    conversation.id.as_str().starts_with("telegram:")
        || user_of(&conversation.id, &conversation.agent).is_some()
}
