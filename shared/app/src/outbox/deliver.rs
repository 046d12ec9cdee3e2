//! Sends what waits in the outbox of one chat, in order.

use std::time::Duration;

use af_domain::ids::SecretRef;
use af_domain::outbox::{Chat, Delivery, DeliveryState, Entry, MAX_WAIT, Next, Outbox, Part};
use af_domain::time::Millis;
use af_runtime::metric::Metric;
use af_store::conversation::Commit;
use af_telegram::SendMessage;
use secrecy::SecretString;
use tokio::time::Instant;

use super::prepare::{Prepared, prepare};
use super::send::{Messenger, Sent, send};
use crate::{App, Result};

/// How long the call that completes a message may begin to send parts before it answers.
pub const COMPLETION_SENDS_FOR: Duration = Duration::from_secs(4);
/// The first wait when Telegram cannot be reached. Each further one is twice as long.
const UNREACHABLE_WAIT: Millis = Millis::from_secs(5);
/// The longest of these waits, and the wait for a token that is missing or refused.
const LONG_WAIT: Millis = Millis::from_secs(300);
/// The wait after a part whose fate is unknown, before the next part of the same reply.
const UNCERTAIN_WAIT: Millis = Millis::from_secs(5);

/// The metric of deliveries that end in `state`.
const fn ended_metric(state: DeliveryState) -> Metric {
    match state {
        DeliveryState::Sent => Metric::DeliverySent,
        DeliveryState::Uncertain => Metric::DeliveryUncertain,
        DeliveryState::Failed => Metric::DeliveryFailed,
        DeliveryState::Cancelled => Metric::DeliveryCancelled,
        // A delivery that waits has not ended.
        DeliveryState::Dropped | DeliveryState::Waiting => Metric::DeliveryDropped,
    }
}

/// How one sender goes on after a step.
enum Step {
    /// It reads the outbox again.
    GoOn,
    /// It has nothing more to do.
    Stop,
}

/// Sends what waits in the outbox of `chat`, until it is empty or must wait. No part is begun after `budget`, and a wait
/// that fits into `budget` is waited out.
///
/// Every part is sent at most once: the outbox notes a part before it is sent, and the note of a sender that died makes
/// the part uncertain.
pub async fn deliver(app: &App, chat: &Chat, budget: Duration) -> Result<()> {
    let Some(messenger) = app.messenger.as_deref() else { return Ok(()) };
    let sender = Sender { app, messenger, began: Instant::now(), budget };
    loop {
        let Some(outbox) = app.store.outbox(chat, true).await? else { return Ok(()) };
        let step = match outbox.next(app.now()) {
            Next::Empty | Next::Later(_) => Step::Stop,
            Next::Interrupted => {
                tracing::warn!(%chat, "a sender died while it sent a part");
                sender.change(&outbox, &outbox.with_part(Part::Uncertain, app.now())).await?
            }
            Next::Send if sender.began.elapsed() >= budget => Step::Stop,
            Next::Send => Box::pin(sender.send_next(&outbox)).await?,
        };
        if let Step::Stop = step {
            return Ok(());
        }
    }
}

/// The token of a bot, and the secret that contains it.
struct Credentials {
    token: SecretString,
    token_ref: SecretRef,
}

struct Sender<'a> {
    app: &'a App,
    messenger: &'a dyn Messenger,
    began: Instant,
    budget: Duration,
}

impl Sender<'_> {
    /// Sends the next part of the first entry.
    async fn send_next(&self, outbox: &Outbox) -> Result<Step> {
        let Some(head) = outbox.head() else { return Ok(Step::Stop) };
        let (parts, credentials, reply_to) = match prepare(self.app, &outbox.chat, head).await? {
            Prepared::Parts { parts, token, token_ref, reply_to } => {
                (parts, Credentials { token, token_ref }, reply_to)
            }
            Prepared::Ended { state, reason } => return self.give_up(outbox, head, state, reason).await,
            Prepared::NoToken => return self.wait(outbox, None, "the bot's token is missing").await,
        };
        let Some(part) = parts.get(head.parts.len()) else {
            return self.end(outbox, Delivery::ended(&outbox.chat, head)).await;
        };
        let sending = outbox.sending_by(&self.app.entropy.ulid(self.app.now()), self.app.now());
        if let Commit::Stale = self.app.store.change_outbox_if_unchanged(outbox, &sending).await? {
            return Ok(Step::GoOn);
        }
        // Only the first part refers to the answered message, whose number belongs to the chat before it has moved.
        let reply_to = reply_to.filter(|_| head.parts.is_empty() && head.moved_to.is_none());
        let message = SendMessage {
            chat_id: head.moved_to.unwrap_or(sending.chat.id),
            text: &part.text,
            parse_mode: part.parse_mode,
            reply_to,
            message_thread_id: head.topic,
        };
        match self.send_part(&message, &part.plain, &credentials).await {
            Sent::Part(sent) => self.sent(&sending, sent, parts.len()).await,
            Sent::Wait { asked, reason } => self.wait(&sending, asked, &reason).await,
            Sent::Moved(to) if head.moved_to != Some(to) => {
                self.change(&sending, &sending.moved_to(to, self.app.now())).await
            }
            Sent::Moved(_) => {
                let reason = "the chat moves again and again".to_owned();
                self.give_up(&sending, head, DeliveryState::Failed, reason).await
            }
            Sent::Unauthorized => {
                self.wait(&sending, Some(LONG_WAIT), "Telegram refuses the bot's token").await
            }
            Sent::Refused(reason) => {
                let failed = sending.with_part(Part::Failed, self.app.now());
                let head = failed.head().unwrap_or(head);
                self.give_up(&sending, head, DeliveryState::Failed, reason).await
            }
        }
    }

    /// Calls Telegram. A wait that fits into the budget is waited out. A refused token is read again once. The outbox has the
    /// note of the part, so every error becomes a result that removes the note.
    async fn send_part(&self, message: &SendMessage<'_>, plain: &str, credentials: &Credentials) -> Sent {
        let Credentials { token, token_ref } = credentials;
        let mut fresh = None;
        loop {
            let sent = send(self.messenger, fresh.as_ref().unwrap_or(token), message.clone(), plain).await;
            match sent {
                Sent::Wait { asked: Some(asked), .. } if self.has_time_for(asked) => {
                    self.messenger.pause(asked).await;
                }
                Sent::Unauthorized if fresh.is_none() => {
                    fresh = self.token_again(token_ref).await;
                    if fresh.is_none() {
                        return Sent::Unauthorized;
                    }
                }
                sent => return sent,
            }
        }
    }

    /// Reads the token of the bot, which was refused, again.
    async fn token_again(&self, token_ref: &SecretRef) -> Option<SecretString> {
        self.app.secrets.forget(token_ref);
        let read = self.app.secrets.get(token_ref, self.app.now()).await;
        read.unwrap_or_else(|error| {
            tracing::warn!(%error, "a refused bot token could not be read again");
            None
        })
    }

    fn has_time_for(&self, wait: Millis) -> bool {
        self.began.elapsed() + Duration::from_millis(wait.as_millis()) < self.budget
    }

    /// Notes what became of a part. The last one ends the entry.
    async fn sent(&self, sending: &Outbox, part: Part, parts: usize) -> Result<Step> {
        let now = self.app.now();
        let is_uncertain = part == Part::Uncertain;
        if is_uncertain {
            tracing::warn!(chat = %sending.chat, "Telegram's answer was lost");
        }
        let after = sending.with_part(part, now);
        match after.head() {
            Some(head) if head.parts.len() >= parts => {
                self.end(sending, Delivery::ended(&sending.chat, head)).await
            }
            // Telegram may be down. The next part must not become uncertain, too.
            _ if is_uncertain => self.change(sending, &after.waiting(UNCERTAIN_WAIT, now)).await,
            _ => self.change(sending, &after).await,
        }
    }

    /// Lets the entry wait for `asked`, or for the backoff of a failed connection. An entry that has waited for a day fails.
    async fn wait(&self, outbox: &Outbox, asked: Option<Millis>, reason: &str) -> Result<Step> {
        let now = self.app.now();
        let Some(head) = outbox.head() else { return Ok(Step::Stop) };
        let backoff = UNREACHABLE_WAIT.as_millis().saturating_mul(1 << head.waits.min(10));
        let wait = asked.unwrap_or(Millis::new(backoff).min(LONG_WAIT));
        if now + wait > head.queued_at + MAX_WAIT {
            let reason = format!("{reason}; it has waited for a day, or would have to");
            return self.give_up(outbox, head, DeliveryState::Failed, reason).await;
        }
        Metric::DeliveryDelayed.count();
        tracing::warn!(chat = %outbox.chat, wait_ms = wait.as_millis(), reason, "a message waits for Telegram");
        self.change(outbox, &outbox.waiting(wait, now)).await
    }

    async fn change(&self, before: &Outbox, after: &Outbox) -> Result<Step> {
        self.app.store.change_outbox_if_unchanged(before, after).await?;
        Ok(Step::GoOn)
    }

    async fn give_up(
        &self,
        outbox: &Outbox,
        head: &Entry,
        state: DeliveryState,
        reason: String,
    ) -> Result<Step> {
        self.end(outbox, Delivery::given_up(&outbox.chat, head, state, reason)).await
    }

    async fn end(&self, outbox: &Outbox, delivery: Delivery) -> Result<Step> {
        let ended = self.app.store.end_delivery_if_unchanged(outbox, &delivery, self.app.now());
        if let Commit::Done = ended.await? {
            ended_metric(delivery.state).count();
            tracing::info!(
                state = delivery.state.as_str(),
                chat = %outbox.chat,
                reason = delivery.reason.as_deref().unwrap_or_default(),
                "a delivery ended"
            );
        }
        Ok(Step::GoOn)
    }
}
