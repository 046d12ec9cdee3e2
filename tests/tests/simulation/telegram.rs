//! Telegram: takes messages of bots, late or never, answers them or not, and asks to wait.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use af_app::outbox::{Messenger, deliver_due};
use af_domain::time::Millis;
use af_runtime::clock::Clock;
use af_telegram::{SendDraft, SendMessage, SentMessage, TelegramError};
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use secrecy::SecretString;

use crate::clock::SimClock;
use crate::costs::Operation;
use crate::faults::Shared;
use crate::instance::Instance;
use crate::tally::Event;
use crate::world::World;

/// Longest time of a call, ms.
const MAX_CALL_MS: u64 = 1_500;
/// Longest pause between two runs of the schedule, ms; shorter in the final phase, in which the world waits for them.
const MAX_PAUSE_MS: u64 = 60_000;
const MAX_FINAL_PAUSE_MS: u64 = 5_000;
/// The longest wait that Telegram asks for, s.
const MAX_WAIT_SECS: u64 = 120;

/// A part that has arrived in a chat.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub chat: String,
    pub text: String,
    /// When its call began, and when it arrived, ms.
    pub sent: u64,
    pub at: u64,
}

/// Everything that has arrived since the judge looked.
pub struct SimTelegram {
    clock: SimClock,
    shared: Arc<Shared>,
    pub arrived: Mutex<Vec<Arrived>>,
}

/// The connection of one function instance.
struct Line {
    telegram: Arc<SimTelegram>,
    rng: Mutex<StdRng>,
}

/// The number of parts of the reply to a message.
pub fn parts_of(message: &str) -> usize {
    if message.bytes().map(usize::from).sum::<usize>() % 4 == 0 { 3 } else { 1 }
}

/// The reply to a message. Each part names the message and its own number.
pub fn reply_to(message: &str) -> String {
    let parts = parts_of(message);
    let padding = if parts > 1 { 4_000 } else { 1 };
    let part =
        |number: usize| format!("{message}/{number} {}", "x".repeat(padding - message.len().min(padding)));
    (0..parts).map(part).collect::<Vec<_>>().join("\n\n")
}

impl SimTelegram {
    pub fn new(clock: SimClock, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { clock, shared, arrived: Mutex::default() })
    }

    pub fn line(self: &Arc<Self>, seed: u64) -> Arc<dyn Messenger> {
        Arc::new(Line { telegram: self.clone(), rng: Mutex::new(StdRng::seed_from_u64(seed ^ 0x7e1e)) })
    }

    fn takes(&self, message: &SendMessage<'_>, sent: u64) -> SentMessage {
        let mut arrived = self.arrived.lock().unwrap();
        arrived.push(Arrived {
            chat: message.chat_id.to_string(),
            text: message.text.to_owned(),
            sent,
            at: self.clock.now().as_millis(),
        });
        self.shared.tally.count(Event::PartArrived);
        SentMessage { message_id: 1 }
    }
}

impl Messenger for Line {
    fn send<'a>(
        &'a self,
        _: &'a SecretString,
        message: SendMessage<'a>,
    ) -> BoxFuture<'a, Result<SentMessage, TelegramError>> {
        Box::pin(async move {
            let telegram = &self.telegram;
            let sent = telegram.clock.now().as_millis();
            let (call, kind, wait) = {
                let mut rng = self.rng.lock().unwrap();
                (
                    rng.random_range(1..MAX_CALL_MS),
                    rng.random_range(0..100),
                    rng.random_range(1..=MAX_WAIT_SECS),
                )
            };
            tokio::time::sleep(Duration::from_millis(call)).await;
            let gateway = TelegramError::Unavailable { status: 502 };
            if !telegram.shared.faults_on.load(Ordering::Relaxed) {
                return Ok(telegram.takes(&message, sent));
            }
            match kind {
                0..12 => {
                    telegram.shared.tally.count(Event::TelegramAskedToWait);
                    Err(TelegramError::RateLimited { retry_after: Millis::from_secs(wait) })
                }
                12..16 => Err(TelegramError::Forbidden { description: "bot was blocked by the user".into() }),
                16..22 => {
                    telegram.takes(&message, sent);
                    Err(gateway)
                }
                22..25 => Err(gateway),
                _ => Ok(telegram.takes(&message, sent)),
            }
        })
    }

    fn draft<'a>(
        &'a self,
        _: &'a SecretString,
        _: SendDraft<'a>,
    ) -> BoxFuture<'a, Result<(), TelegramError>> {
        Box::pin(async { Ok(()) })
    }

    fn typing<'a>(
        &'a self,
        _: &'a SecretString,
        _: i64,
        _: Option<i64>,
    ) -> BoxFuture<'a, Result<(), TelegramError>> {
        Box::pin(async { Ok(()) })
    }

    fn pause(&self, length: Millis) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(length.as_millis())))
    }
}

/// The schedule that sends what had to wait.
pub async fn schedule(world: Arc<World>, actor: u64) {
    let mut rng = world.rng(actor);
    let mut function = Instance::new(&world, actor, Event::EffectsDied);
    loop {
        let longest = if world.is_in_final_phase() { MAX_FINAL_PAUSE_MS } else { MAX_PAUSE_MS };
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..longest))).await;
        let app = function.app();
        if let Some(Err(error)) = function.call(Operation::Deliver, deliver_due(&app)).await {
            world.note(|| format!("the schedule of the outboxes failed: {error}"));
        }
    }
}
