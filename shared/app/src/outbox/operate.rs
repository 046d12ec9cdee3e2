//! What operators do with outboxes: list what waits, remove what blocks a chat, and send a reply again.

use af_domain::ids::MessageId;
use af_domain::outbox::{Chat, Content, Delivery, DeliveryState, Outbox, Part};
use af_domain::refusal::{Code, Refusal};
use af_store::conversation::Commit;
use af_store::idempotency::IdempotentCall;

use super::reply::entry_for_reply;
use crate::intake::idempotency;
use crate::{App, AppError, Result};

/// Times that a removal is decided again because a sender has changed the outbox meanwhile.
const MAX_TRIES: usize = 5;

/// An entry that was removed from an outbox.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// The message whose reply it was; `None` for a notice.
    pub message: Option<MessageId>,
    /// The parts that were sent or tried before.
    pub parts: Vec<Part>,
}

/// Returns a page of the outboxes in which something waits, those that are due first, and the position of the next page.
pub async fn list(app: &App, limit: u32, after: Option<&str>) -> Result<(Vec<Outbox>, Option<String>)> {
    let page = app.store.outboxes(i32::try_from(limit).unwrap_or(i32::MAX), after).await?;
    Ok((page.items, page.next))
}

/// Removes the first message from the outbox of `chat`. Its reply stays readable with its message.
///
/// # Errors
/// Returns 404 if nothing waits there, and 409 while a part of the message is being sent.
pub async fn drop_first(app: &App, chat: &Chat) -> Result<Dropped> {
    for _ in 0..MAX_TRIES {
        let outbox = app.store.outbox(chat, true).await?;
        let found = outbox.as_ref().and_then(|outbox| outbox.head().map(|head| (outbox, head)));
        let Some((outbox, head)) = found else {
            return Err(Refusal::not_found(format!("message in the outbox of {chat}")).into());
        };
        if outbox.sending.as_ref().is_some_and(|sending| sending.until > app.now()) {
            let detail = "a part of this message is being sent; try again in half a minute";
            return Err(Refusal::new(Code::Conflict, detail).into());
        }
        let reason = "an operator dropped it".to_owned();
        let dropped = Delivery::given_up(chat, head, DeliveryState::Dropped, reason);
        if let Commit::Done = app.store.end_delivery_if_unchanged(outbox, &dropped, app.now()).await? {
            let message = match &head.content {
                Content::Reply(message) => Some(message.clone()),
                Content::Notice(_) => None,
            };
            return Ok(Dropped { message, parts: dropped.parts });
        }
    }
    Err(AppError::Overtaken("drop"))
}

/// Sends the whole reply of a message again, to the chat that its user has now. With `once`, a repetition of the same call
/// sends nothing and gets the same chat.
///
/// # Errors
/// Returns 404 if there is no such message, and 409 if it has no reply, its reply does not go to Telegram or still waits
/// in an outbox, or the outbox of its chat is full; 422 if the idempotency key was used with another request.
pub async fn resend(app: &App, id: &MessageId, once: Option<&IdempotentCall>) -> Result<Chat> {
    if let Some(chat) = resent_before(app, once).await? {
        return Ok(chat);
    }
    match resend_now(app, id, once).await {
        // The same call may have been sent twice at the same time.
        Err(AppError::Refused(refusal)) => resent_before(app, once).await?.ok_or_else(|| refusal.into()),
        other => other,
    }
}

async fn resend_now(app: &App, id: &MessageId, once: Option<&IdempotentCall>) -> Result<Chat> {
    let conflict = |detail: String| AppError::from(Refusal::new(Code::Conflict, detail));
    let message = app.store.message(id, app.now(), true).await?;
    let message = message.ok_or_else(|| Refusal::not_found(format!("message {id}")))?;
    if message.reply.is_none() {
        return Err(conflict(format!("message {id} has no reply")));
    }
    if message.delivery.as_ref().is_some_and(|delivery| delivery.state == DeliveryState::Waiting) {
        return Err(conflict(format!("the reply of message {id} still waits in the outbox")));
    }
    let Some(mut new) = entry_for_reply(app, &message).await? else {
        return Err(conflict(format!("the reply of message {id} does not go to a Telegram chat")));
    };
    new.due_at = app.now();
    match app.store.resend_if_unchanged(id, message.delivery.as_ref(), &new, once).await? {
        Commit::Done => Ok(new.chat),
        Commit::Stale => Err(conflict(format!(
            "the reply was sent again meanwhile, or too many messages wait for chat {}",
            new.chat
        ))),
    }
}

/// Returns the chat of an earlier attempt of the same call.
async fn resent_before(app: &App, once: Option<&IdempotentCall>) -> Result<Option<Chat>> {
    let record = idempotency::find_record(app, once).await?;
    Ok(record.and_then(|record| Chat::parse(&record.id)))
}
