//! A reply is delivered once, whatever happens to its senders: one dies at any step, many work at the same time, or
//! Telegram makes one wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use af_app::App;
use af_app::outbox::{Messenger, deliver, deliver_due};
use af_app::worker::{DeliveredBy, complete};
use af_domain::agent::{BotName, bot_token_ref};
use af_domain::ids::{AgentKey, BotIdentity, ConversationId};
use af_domain::message::{Payload, Reply, ReplyFormat, TELEGRAM};
use af_domain::outbox::{Chat, Delivery, DeliveryState, Part};
use af_domain::time::Millis;
use af_store::conversation::CompleteWith;
use af_telegram::{SendDraft, SendMessage, SentMessage, TelegramError};
use af_tests::steps::{End, StepOutcome, Steps};
use futures::future::{BoxFuture, join_all};
use secrecy::SecretString;

use crate::world::{AGENT, RunningMessage, World, conversation_id, empty_completion};

const BUDGET: Duration = Duration::from_secs(60);
const SENDERS: usize = 16;

/// A chat at a Telegram that a test scripts. What arrives there is kept when a sender dies.
#[derive(Default)]
struct Telegram {
    arrived: Mutex<Vec<String>>,
    answers: Mutex<VecDeque<TelegramError>>,
}

/// One sender's connection to Telegram.
struct Line {
    telegram: Arc<Telegram>,
    steps: Arc<Steps>,
}

impl Telegram {
    fn arrived(&self) -> Vec<String> {
        self.arrived.lock().unwrap().clone()
    }

    fn line(self: &Arc<Self>, steps: &Arc<Steps>) -> Option<Arc<dyn Messenger>> {
        Some(Arc::new(Line { telegram: self.clone(), steps: steps.clone() }))
    }

    fn takes(&self, text: &str) -> Result<SentMessage, TelegramError> {
        if let Some(error) = self.answers.lock().unwrap().pop_front() {
            return Err(error);
        }
        let mut arrived = self.arrived.lock().unwrap();
        arrived.push(text.to_owned());
        Ok(SentMessage { message_id: i64::try_from(arrived.len()).unwrap() })
    }
}

impl Messenger for Line {
    fn send<'a>(
        &'a self,
        _: &'a SecretString,
        message: SendMessage<'a>,
    ) -> BoxFuture<'a, Result<SentMessage, TelegramError>> {
        Box::pin(async move {
            match self.steps.next(true) {
                StepOutcome::Taken => self.telegram.takes(message.text),
                StepOutcome::Unanswered => {
                    drop(self.telegram.takes(message.text));
                    self.steps.mark_ended();
                    std::future::pending().await
                }
                _ => std::future::pending().await,
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

    fn pause(&self, _: Millis) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A deployment with a bot, and a message from Telegram that a worker runs.
struct Scene {
    world: World,
    telegram: Arc<Telegram>,
    running: RunningMessage,
}

fn chat() -> Chat {
    Chat::parse("77:42").unwrap()
}

fn conversation() -> ConversationId {
    conversation_id(&format!("telegram:{}", chat()))
}

/// The parts of the reply.
fn parts() -> Vec<String> {
    ["a", "b", "c"].map(|letter| letter.repeat(4_000)).into()
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let agent = AgentKey::parse(AGENT).unwrap();
        let bot = BotName { identity: BotIdentity::parse("77").unwrap(), username: "demo_bot".into() };
        world.app.store.assign_bot_if_unclaimed(&agent, &bot, None, world.app.now()).await.unwrap();
        let token = SecretString::from("77:secret");
        world.app.secrets.put(&bot_token_ref(&agent), token, world.app.now()).await.unwrap();
        Self::accept_message(&world).await;
        let worker = world.worker("w", Some(&conversation())).await;
        let running = world.claim(&worker, Some(&conversation())).await;
        Self { world, telegram: Arc::default(), running }
    }

    async fn accept_message(world: &World) {
        let mut message = world.message(&conversation(), None);
        message.payload = Payload {
            provider: TELEGRAM.to_owned(),
            provider_user_id: "42".to_owned(),
            message_text: "hello".to_owned(),
            ..Payload::default()
        };
        af_app::intake::enqueue::enqueue(&world.app, message).await.unwrap();
    }

    /// A new message of the chat, which the same worker runs.
    async fn next_message(&mut self) {
        Self::accept_message(&self.world).await;
        self.running = self.world.claim(&self.running.worker, Some(&conversation())).await;
    }

    /// An instance of a function, which takes these steps.
    fn function(&self, steps: &Arc<Steps>) -> App {
        let mut app = self.world.with_faults(steps.clone());
        app.messenger = self.telegram.line(steps);
        app
    }

    async fn complete(&self, app: &App, text: &str) -> Result<(), af_app::AppError> {
        let reply = Some(Reply { text: text.to_owned(), format: ReplyFormat::Plain });
        let with = CompleteWith { reply, ..empty_completion() };
        let RunningMessage { worker, message, lease } = &self.running;
        complete(app, worker, message, lease, with, DeliveredBy::Outbox).await
    }

    async fn delivery(&self) -> Delivery {
        let message = self.world.app.store.message(&self.running.message, self.world.app.now(), true).await;
        message.unwrap().unwrap().delivery.unwrap()
    }

    /// What the schedule does until nothing waits any more.
    async fn deliver_all(&self) {
        for _ in 0..20 {
            let function = self.function(&Arc::default());
            deliver_due(&function).await.unwrap();
            if self.world.app.store.outbox(&chat(), true).await.unwrap().is_none() {
                return;
            }
            self.world.bundle.clock.advance(Millis::from_secs(60));
        }
        panic!("something still waits: {:?}", self.world.app.store.outbox(&chat(), true).await);
    }

    /// Every part has arrived once, or the delivery says that its fate is unknown; and the order is kept.
    async fn check(&self, what: &str) -> usize {
        let (arrived, delivery) = (self.telegram.arrived(), self.delivery().await);
        assert_eq!(delivery.parts.len(), 3, "{what}: {delivery:?}");
        let mut expected = arrived.iter();
        let mut uncertain = 0;
        for (part, text) in delivery.parts.iter().zip(parts()) {
            match part {
                Part::Sent { .. } => assert_eq!(expected.next(), Some(&text), "{what}"),
                Part::Uncertain => {
                    uncertain += 1;
                    if expected.as_slice().first() == Some(&text) {
                        expected.next();
                    }
                }
                Part::Failed => panic!("{what}: {delivery:?}"),
            }
        }
        assert_eq!(expected.next(), None, "{what}: a part arrived twice or out of order");
        let state = if uncertain == 0 { DeliveryState::Sent } else { DeliveryState::Uncertain };
        assert_eq!(delivery.state, state, "{what}");
        uncertain
    }
}

/// Completes a message with a reply of three parts in a function that takes these steps. Then the worker repeats its call
/// if it got no answer, and the schedule runs.
async fn run(steps: &Arc<Steps>) -> Scene {
    let scene = Scene::new().await;
    let function = scene.function(steps);
    let text = parts().join("\n\n");
    let answered = steps.run(Box::pin(scene.complete(&function, &text))).await;
    if !matches!(answered, Some(Ok(()))) {
        let again = scene.function(&Arc::default());
        scene.complete(&again, &text).await.unwrap();
    }
    scene.deliver_all().await;
    scene
}

#[tokio::test]
async fn the_sender_of_a_reply_may_die_at_any_step() {
    let undisturbed = Arc::new(Steps::default());
    assert_eq!(run(&undisturbed).await.check("without a crash").await, 0);
    let steps = undisturbed.taken();
    let (mut crashes, mut uncertain) = (0, 0);
    for (n, changes) in steps.iter().enumerate() {
        let ends = if *changes { &[End::DiesBefore, End::DiesAfter][..] } else { &[End::DiesBefore][..] };
        for end in ends {
            let what = format!("{end:?} step {n} of {}", steps.len());
            let steps = Arc::new(Steps::ending(n, *end));
            let parts = run(&steps).await.check(&what).await;
            assert!(parts <= 1, "{what}: one dead sender leaves one part uncertain at most");
            (crashes, uncertain) = (crashes + 1, uncertain + parts);
        }
    }
    assert!(crashes > 20 && uncertain > 0, "{crashes} crashes, {uncertain} uncertain parts");
}

#[tokio::test]
async fn of_many_senders_one_sends_each_part() {
    let scene = Scene::new().await;
    let mut silent = scene.function(&Arc::default());
    silent.messenger = None;
    scene.complete(&silent, &parts().join("\n\n")).await.unwrap();
    let senders: Vec<App> = (0..SENDERS).map(|_| scene.function(&Arc::default())).collect();
    let chat = chat();
    join_all(senders.iter().map(|app| deliver(app, &chat, BUDGET))).await;
    scene.deliver_all().await;
    assert_eq!(scene.check("many senders").await, 0);
}

#[tokio::test]
async fn a_reply_that_arrives_while_another_is_sent_follows_it() {
    let mut scene = Scene::new().await;
    let telegram = scene.telegram.clone();
    telegram
        .answers
        .lock()
        .unwrap()
        .push_back(TelegramError::RateLimited { retry_after: Millis::from_secs(90) });
    scene.complete(&scene.function(&Arc::default()), "first").await.unwrap();
    scene.next_message().await;
    scene.complete(&scene.function(&Arc::default()), "second").await.unwrap();
    assert_eq!(telegram.arrived(), Vec::<String>::new());
    scene.deliver_all().await;
    assert_eq!(telegram.arrived(), ["first", "second"]);
}

#[tokio::test]
async fn a_message_that_waits_for_longer_than_a_day_fails_and_says_so() {
    let scene = Scene::new().await;
    let wait = TelegramError::RateLimited { retry_after: Millis::from_days(2) };
    scene.telegram.answers.lock().unwrap().push_back(wait);
    scene.complete(&scene.function(&Arc::default()), "late").await.unwrap();
    let delivery = scene.delivery().await;
    assert_eq!(delivery.state, DeliveryState::Failed);
    assert!(delivery.reason.unwrap().contains("a day"));
    assert!(scene.world.app.store.outbox(&chat(), true).await.unwrap().is_none());
}
