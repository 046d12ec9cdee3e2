//! A message that waits for its retry holds back its own conversation, or not even that, and never another.
//!
//! Workers that take one message after the other, whoever it is from, serve conversations to which everybody writes at
//! the same moments. There are more messages than workers at each of these, so some wait, whatever happens.

use std::collections::BTreeMap;

use af_app::worker::{Ownership, Poll, fail, poll};
use af_domain::ids::{ConversationId, MessageId, WorkerId};
use af_domain::time::{Millis, Timestamp};

use crate::world::{Held, World, conversation};

const WORKERS: usize = 4;
/// Conversations that nothing goes wrong in. About half of them wait for a worker each time; with the troubled one and a
/// retry, all have had one after two turns.
const OTHERS: usize = 6;
/// The conversation whose first message fails again and again.
const TROUBLED: &str = "troubled";
/// More than are made while the test runs.
const ATTEMPTS: u32 = 50;
/// Between two polls of a worker, and how long it takes over a message.
const STEP: Millis = Millis::new(500);
const SERVICE: Millis = Millis::from_secs(1);
/// Between two moments at which everybody writes, and how many there are.
const PERIOD_STEPS: usize = 6;
const PERIODS: usize = 12;
/// What a retry may change in the time that others wait.
const MAX_RATIO: f64 = 1.1;

/// What happened.
#[derive(Default)]
struct Record {
    /// How long each message of the other conversations waited for its first claim.
    waits: Vec<Millis>,
    /// Messages of the troubled conversation in the order of their arrival, and of their claims.
    arrived: Vec<MessageId>,
    claimed: Vec<MessageId>,
}

impl Record {
    fn p99(&self) -> f64 {
        let mut waits: Vec<u64> = self.waits.iter().map(|w| w.as_millis()).collect();
        waits.sort_unstable();
        waits[waits.len() * 99 / 100] as f64
    }

    /// Claims of messages that came after the first.
    fn others_claimed(&self) -> Vec<&MessageId> {
        self.claimed.iter().filter(|m| **m != self.arrived[0]).collect()
    }
}

/// A worker, and what it does until when.
struct Hand {
    worker: WorkerId,
    busy: Option<(Held, ConversationId, Timestamp)>,
}

struct Office {
    world: World,
    hands: Vec<Hand>,
    /// Messages that nobody has claimed yet, and when they came.
    waiting: BTreeMap<MessageId, Timestamp>,
    /// Whether the first message of the troubled conversation fails.
    fails: bool,
    record: Record,
}

impl Office {
    async fn new(on_retry: Option<&str>) -> Self {
        let world = World::new().await;
        let policies = format!(r#"{{"queue":{{"onRetry":"{}"}}}}"#, on_retry.unwrap_or("block"));
        world.app.store.put_config("policies", &policies).await.unwrap();
        world.bundle.clock.advance(Millis::from_secs(60));
        let mut hands = Vec::new();
        for n in 0..WORKERS {
            hands.push(Hand { worker: world.worker(&format!("w-{n}"), None).await, busy: None });
        }
        let fails = on_retry.is_some();
        Self { world, hands, waiting: BTreeMap::new(), fails, record: Record::default() }
    }

    async fn run(mut self) -> Record {
        for step in 0..PERIODS * PERIOD_STEPS {
            if step % PERIOD_STEPS == 0 {
                self.everybody_writes().await;
            }
            for n in 0..WORKERS {
                self.work(n).await;
            }
            self.world.bundle.clock.advance(STEP);
        }
        self.record
    }

    async fn everybody_writes(&mut self) {
        let troubled = conversation(TROUBLED);
        let message = self.world.enqueue(&troubled, Some(ATTEMPTS)).await;
        self.record.arrived.push(message);
        for n in 0..OTHERS {
            let message = self.world.enqueue(&conversation(&format!("talk-{n}")), None).await;
            self.waiting.insert(message, self.world.app.now());
        }
    }

    /// Ends what the worker does when it is time, and has it take the next message, of any conversation.
    async fn work(&mut self, n: usize) {
        let now = self.world.app.now();
        let mut request = Poll::default();
        match self.hands[n].busy.take() {
            Some(busy) if busy.2 > now => {
                self.hands[n].busy = Some(busy);
                return;
            }
            Some((held, talk, _)) => {
                self.end(&held).await;
                request = Poll { conversation: Some(talk), ownership: Ownership::Discard, ..request };
            }
            None => {}
        }
        let worker = self.hands[n].worker.clone();
        let Some(job) = poll(&self.world.app, &worker, &request).await.unwrap().job else { return };
        let (message, talk) = (job.lease.entry.message, job.conversation.id);
        match self.waiting.remove(&message) {
            Some(came) => self.record.waits.push(now.since(came)),
            None => self.record.claimed.push(message.clone()),
        }
        let held = Held { worker, message, lease: job.lease.id };
        self.hands[n].busy = Some((held, talk, now + SERVICE));
    }

    async fn end(&self, held: &Held) {
        if self.fails && held.message == self.record.arrived[0] {
            let Held { worker, message, lease } = held;
            assert!(fail(&self.world.app, worker, message, lease, "no", true).await.unwrap().requeued);
        } else {
            self.world.complete(held).await;
        }
    }
}

#[allow(clippy::print_stderr, reason = "figures for whoever runs this by hand")]
#[tokio::test]
async fn a_retry_makes_nobody_wait_but_its_own_conversation_as_the_policy_says() {
    let smooth = Office::new(None).await.run().await;
    let blocked = Office::new(Some("block")).await.run().await;
    let overtaken = Office::new(Some("overtake")).await.run().await;
    for record in [&smooth, &blocked, &overtaken] {
        assert_eq!((record.waits.len(), record.arrived.len()), (OTHERS * PERIODS, PERIODS));
    }
    assert_eq!(smooth.claimed, smooth.arrived);

    // Its retries wait 1, 2, 4, 8 and 16 seconds: it is claimed about so many times.
    for record in [&blocked, &overtaken] {
        assert!((4..=6).contains(&(record.claimed.iter().filter(|m| **m == record.arrived[0]).count())));
    }
    assert_eq!(blocked.others_claimed(), Vec::<&MessageId>::new(), "the first comes first until it ends");
    assert_eq!(overtaken.others_claimed(), overtaken.arrived[1..].iter().collect::<Vec<_>>());

    let [alone, block, overtake] = [&smooth, &blocked, &overtaken].map(Record::p99);
    eprintln!(
        "others wait, 99 of 100: {alone} ms without retries, {block} ms with block, {overtake} ms with overtake"
    );
    assert!(alone > 0.0, "nobody waits at all");
    for with_retries in [block, overtake] {
        assert!(
            (with_retries / alone - 1.0).abs() <= MAX_RATIO - 1.0,
            "{with_retries} ms, {alone} ms without"
        );
    }
}
