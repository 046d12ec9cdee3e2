//! Pushes updates to webhooks, as the server of Telegram does: within a chat one at a time and in order, chats
//! concurrently, and again with growing waits after an answer that is not 2xx. Source: the Bot API server's `WebhookActor`.
//!
//! Each chat with undelivered updates is a lane: a queue, and one task that empties the queue and then ends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use af_domain::time::Millis;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::arrival::{Arrival, Pushed, body_of};
use super::records::{DraftRecord, Event, Outcome, UpdateRecord};
use super::sending::chat_type;
use super::{Core, Inner, TelegramEmulator, TelegramEmulatorError};

/// The header that proves that an update comes from Telegram.
const SECRET_HEADER: &str = "X-Telegram-Bot-Api-Secret-Token";
/// The stored length of a webhook's answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// How long a caller waits for the first answer of the webhook. It takes longer only while earlier updates of the
/// same chat are retried; the push then continues without the caller.
const FIRST_ANSWER_WAIT: Duration = Duration::from_secs(30);
/// The most doublings of the wait. The longest wait is reached earlier.
const MAX_DOUBLINGS: u32 = 20;

/// The lanes with undelivered updates, by bot and chat.
pub(super) type Lanes = HashMap<Lane, VecDeque<Job>>;
type Lane = (i64, i64);

/// An update in a lane.
pub(super) struct Job {
    serial: u64,
    /// Gets the first answer.
    first: Option<oneshot::Sender<Attempt>>,
}

/// The outcome of a push.
#[derive(Clone, Debug)]
struct Attempt {
    status: Option<u16>,
    body: Value,
    error: Option<String>,
    retry_after: Option<Millis>,
}

impl Attempt {
    fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The next step of the lane's task.
struct Work {
    serial: u64,
    url: String,
    secret: Option<String>,
    body: Value,
}

/// The step of a lane after a push.
enum Then {
    /// The update is finished, and the next one follows.
    Next,
    /// The same update is pushed again after this time.
    Wait(Millis),
    /// The lane is gone.
    Stop,
}

impl TelegramEmulator {
    /// Accepts the message of a user: writes the update to the journal, pushes it to the bot's webhook and returns
    /// the first answer of the webhook. Retries continue after that.
    ///
    /// # Errors
    /// Returns `UnknownBot`, or an error if the journal cannot be written.
    pub(super) async fn arrive(&self, arrival: Arrival) -> Result<Pushed, TelegramEmulatorError> {
        let inner = &self.inner;
        let (update_id, first) = inner.accept(arrival)?;
        let none = |error: &str| Pushed {
            update_id,
            status: None,
            body: Value::Null,
            error: Some(error.to_owned()),
        };
        let Some(first) = first else {
            return Ok(none("the bot has no webhook"));
        };
        Ok(match tokio::time::timeout(FIRST_ANSWER_WAIT, first).await {
            Ok(Ok(Attempt { status, body, error, .. })) => Pushed { update_id, status, body, error },
            Ok(Err(_)) => none("the webhook was deleted"),
            Err(_) => none("an earlier update of this chat is still on its way"),
        })
    }
}

impl TelegramEmulator {
    /// A person presses the stop button of a draft. The draft disappears, unless the bot keeps it.
    pub(super) async fn press_stop(
        &self,
        bot: i64,
        chat_id: i64,
        draft_id: i64,
    ) -> Result<Pushed, TelegramEmulatorError> {
        let now = self.inner.clock.now().as_millis();
        let identity = bot.to_string();
        let thread = {
            let mut core = self.inner.lock();
            let mut drafts = core.state.drafts_in(&identity, chat_id);
            let is_pressed =
                |d: &&mut DraftRecord| d.draft_id == draft_id && d.can_stop && d.shown_until > now;
            let none = TelegramEmulatorError::NoStopButton { chat: chat_id, draft: draft_id };
            let draft = drafts.find(is_pressed).ok_or(none)?;
            draft.can_stop = false;
            if !draft.keep_on_stop {
                draft.shown_until = now;
            }
            draft.message_thread_id
        };
        let mut pressed = json!({"chat": {"id": chat_id, "type": chat_type(chat_id)}, "draft_id": draft_id});
        if let Some(thread) = thread {
            pressed["message_thread_id"] = thread.into();
        }
        let raw = json!({"stopped_message_generation": pressed});
        self.arrive(Arrival::of_raw(bot, chat_id, raw)).await
    }
}

type Accepted = (u64, Option<oneshot::Receiver<Attempt>>);

impl Inner {
    /// Writes an arrival to the journal and starts its push. One lock covers both, so that the pushes have the order
    /// of the update ids.
    fn accept(self: &Arc<Self>, arrival: Arrival) -> Result<Accepted, TelegramEmulatorError> {
        let date = self.clock.now().as_secs();
        let mut core = self.lock();
        let bot = core.state.bot(arrival.bot).ok_or(TelegramEmulatorError::UnknownBot(arrival.bot))?;
        let has_webhook = bot.webhook.is_some();
        let given =
            arrival.update_id.or_else(|| arrival.raw.as_ref().and_then(|raw| raw["update_id"].as_u64()));
        let update_id = given.unwrap_or(bot.last_update_id.saturating_add(1));
        let serial = core.state.next_serial();
        // An update that is sent again has the message that it had.
        let repeated = core.state.message_of(arrival.bot, arrival.chat_id, update_id);
        let next = core.state.last_message_id(arrival.bot, arrival.chat_id).saturating_add(1);
        let next_message_id = repeated.unwrap_or(next);
        let lane = (arrival.bot, arrival.chat_id);
        let (body, message_id) = body_of(arrival, update_id, next_message_id, date);
        let (bot_id, chat_id) = lane;
        core.commit(vec![Event::Update(UpdateRecord {
            serial,
            bot_id,
            chat_id,
            update_id,
            message_id,
            body,
            outcome: None,
            attempts: 0,
            last_status: None,
        })])?;
        if !has_webhook {
            drop(core);
            self.arrived.send_replace(());
            return Ok((update_id, None));
        }
        let (first, answer) = oneshot::channel();
        self.enqueue(&mut core.lanes, lane, Job { serial, first: Some(first) });
        Ok((update_id, Some(answer)))
    }

    /// Starts the push of all pending updates of this bot that are not in a lane yet. It takes the locked state, so
    /// that a webhook is set and its backlog queued before a newer update can arrive.
    pub(super) fn push_pending(self: &Arc<Self>, core: &mut Core, bot: i64) {
        if core.state.bot(bot).is_none_or(|bot| bot.webhook.is_none()) {
            return;
        }
        let waiting: Vec<_> =
            core.state.pending_of(bot).map(|update| (update.chat_id, update.serial)).collect();
        for (chat_id, serial) in waiting {
            let lane = (bot, chat_id);
            let on_its_way =
                core.lanes.get(&lane).is_some_and(|jobs| jobs.iter().any(|job| job.serial == serial));
            if !on_its_way {
                self.enqueue(&mut core.lanes, lane, Job { serial, first: None });
            }
        }
    }

    fn enqueue(self: &Arc<Self>, lanes: &mut Lanes, lane: Lane, job: Job) {
        let jobs = lanes.entry(lane).or_insert_with(|| {
            tokio::spawn(work_off(Arc::downgrade(self), lane));
            VecDeque::new()
        });
        jobs.push_back(job);
    }

    /// The first update of the lane and its webhook. `None` ends the lane: no update is left, or the webhook is
    /// deleted, and the updates wait for the next webhook or for `getUpdates`.
    fn next_work(&self, lane: Lane) -> Option<Work> {
        let mut core = self.lock();
        let core = &mut *core;
        let work = loop {
            let Some(job) = core.lanes.get(&lane).and_then(VecDeque::front) else {
                break None;
            };
            let hook = core.state.bot(lane.0).and_then(|bot| bot.webhook.as_ref());
            match (core.state.pending(job.serial), hook) {
                (Some(update), Some(hook)) => {
                    let (url, secret) = (hook.url.clone(), hook.secret_token.clone());
                    break Some(Work { serial: job.serial, url, secret, body: update.body.clone() });
                }
                (_, None) => break None,
                // The update is finished meanwhile: dropped with `drop_pending_updates`, or given up.
                (None, Some(_)) => {
                    core.lanes.get_mut(&lane).and_then(VecDeque::pop_front);
                }
            }
        };
        if work.is_none() {
            core.lanes.remove(&lane);
        }
        work
    }

    async fn push(&self, work: &Work) -> Attempt {
        let mut request = self.http.post(&work.url).json(&work.body);
        if let Some(secret) = &work.secret {
            request = request.header(SECRET_HEADER, secret);
        }
        match request.send().await {
            Err(error) => {
                Attempt { status: None, body: Value::Null, error: Some(reason(&error)), retry_after: None }
            }
            Ok(response) => {
                let status = response.status();
                let retry_after = response.headers().get("Retry-After");
                let retry_after =
                    retry_after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Millis::from_secs);
                let error =
                    (!status.is_success()).then(|| format!("Wrong response from the webhook: {status}"));
                Attempt { status: Some(status.as_u16()), body: read_body(response).await, error, retry_after }
            }
        }
    }

    /// Records the outcome of a push, and decides the next step.
    fn record(&self, lane: Lane, serial: u64, attempts: u32, attempt: Attempt) -> Then {
        let at = self.clock.now().as_secs();
        let mut core = self.lock();
        core.state.note_push(serial, attempts, attempt.status);
        if let Some(error) = &attempt.error {
            core.state.note_hook_error(lane.0, at, error.clone());
        }
        let wait = self.wait_after(attempts, attempt.retry_after);
        let outcome = match attempt.succeeded() {
            true => Some(Outcome::Delivered),
            false => (attempts >= self.options.max_attempts).then_some(Outcome::GivenUp),
        };
        if outcome == Some(Outcome::GivenUp) {
            let error = attempt.error.as_deref().unwrap_or_default();
            tracing::warn!(bot = lane.0, chat = lane.1, attempts, error, "an update is given up");
        }
        let first =
            core.lanes.get_mut(&lane).and_then(VecDeque::front_mut).filter(|job| job.serial == serial);
        if let Some(first) = first.and_then(|job| job.first.take()) {
            // An error means that the caller no longer waits.
            let _ = first.send(attempt);
        }
        let Some(outcome) = outcome else {
            return Then::Wait(wait);
        };
        if let Err(error) = core.commit(vec![Event::Settled { serial, outcome }]) {
            // The update stays pending and is pushed again after the next start. A duplicate is allowed, a loss is
            // not.
            tracing::error!(%error, "the Telegram emulator cannot write its journal");
            core.lanes.remove(&lane);
            return Then::Stop;
        }
        Then::Next
    }

    /// The first retry follows at once, as Telegram's does.
    fn wait_after(&self, attempts: u32, asked: Option<Millis>) -> Millis {
        let doubled = 1_u64 << attempts.saturating_sub(1).min(MAX_DOUBLINGS);
        let own = if attempts <= 1 { 0 } else { self.options.backoff.as_millis().saturating_mul(doubled) };
        let wait = asked.map_or(own, Millis::as_millis);
        Millis::new(wait.min(self.options.max_backoff.as_millis()))
    }
}

/// Empties a lane, then ends. It keeps the emulator alive only while it works, so that the lanes of a dropped
/// emulator end. The attempts of each update limit the loop.
async fn work_off(telegram: Weak<Inner>, lane: Lane) {
    let mut current = (0, 0);
    loop {
        let Some(inner) = telegram.upgrade() else { return };
        let mut hooks_changed = inner.hooks_changed.subscribe();
        let Some(work) = inner.next_work(lane) else { return };
        let (serial, attempts) = current;
        let attempts = if serial == work.serial { attempts + 1 } else { 1 };
        current = (work.serial, attempts);
        let attempt = inner.push(&work).await;
        let then = inner.record(lane, work.serial, attempts, attempt);
        drop(inner);
        match then {
            Then::Next => {}
            Then::Stop => return,
            Then::Wait(wait) => {
                let waited = tokio::time::sleep(Duration::from_millis(wait.as_millis()));
                tokio::select! {
                    () = waited => {}
                    // A new webhook is tried at once; a dropped emulator ends the lane above.
                    _ = hooks_changed.changed() => {}
                }
            }
        }
    }
}

async fn read_body(mut response: reqwest::Response) -> Value {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_ANSWER_BYTES - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
}

fn reason(error: &reqwest::Error) -> String {
    let words = match () {
        () if error.is_timeout() => "Read timeout expired",
        () if error.is_connect() => "Connection refused",
        () => "Webhook connection closed",
    };
    words.to_owned()
}
