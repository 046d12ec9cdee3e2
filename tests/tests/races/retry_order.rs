//! A message that waits for its retry blocks at most its own conversation, as the policy says, and never another one.
//!
//! Free workers serve messages of all conversations. All users write at the same times. At each of these times there
//! are more messages than workers, so some messages always wait.

use std::collections::BTreeMap;

use af_app::worker::{Ownership, Poll, Retry, fail, poll};
use af_domain::ids::{ConversationId, MessageId, WorkerId};
use af_domain::time::{Millis, Timestamp};

use crate::world::{RunningMessage, World, conversation_id};

const WORKERS: usize = 4;
/// Conversations without failures. About half of them wait for a worker each time. With the failing conversation and a
/// retry, every conversation has had a worker after two rounds.
const OTHERS: usize = 6;
/// The conversation whose first message fails at each attempt.
const FAILING: &str = "failing";
/// More attempts than happen in the test.
const ATTEMPTS: u32 = 50;
/// The time between two polls of a worker.
const STEP: Millis = Millis::new(500);
/// The time of an attempt.
const ATTEMPT_TIME: Millis = Millis::from_secs(1);
/// The steps between two times at which all users write, and the number of these times.
const PERIOD_STEPS: usize = 6;
const PERIODS: usize = 12;
/// Limit of the change that a retry may cause in the waiting time of other conversations.
const MAX_RATIO: f64 = 1.1;

/// The measurements of one run.
#[derive(Default)]
struct Record {
    /// The waiting time of each message of the other conversations until its first claim.
    waits: Vec<Millis>,
    /// Messages of the failing conversation, in the order of arrival and in the order of claims.
    arrived: Vec<MessageId>,
    claimed: Vec<MessageId>,
}

impl Record {
    fn p99(&self) -> f64 {
        let mut waits: Vec<u64> = self.waits.iter().map(|w| w.as_millis()).collect();
        waits.sort_unstable();
        waits[waits.len() * 99 / 100] as f64
    }

    /// Claims of all messages except the first.
    fn others_claimed(&self) -> Vec<&MessageId> {
        self.claimed.iter().filter(|m| **m != self.arrived[0]).collect()
    }
}

/// A worker with its running message, its conversation and the end of the attempt.
struct BusyWorker {
    worker: WorkerId,
    busy: Option<(RunningMessage, ConversationId, Timestamp)>,
}

struct Run {
    world: World,
    workers: Vec<BusyWorker>,
    /// Messages without a claim, with the time of their arrival.
    waiting: BTreeMap<MessageId, Timestamp>,
    /// Whether the first message of the failing conversation fails.
    fails: bool,
    record: Record,
}

impl Run {
    async fn new(on_retry: Option<&str>) -> Self {
        let world = World::new().await;
        let policies = format!(r#"{{"queue":{{"onRetry":"{}"}}}}"#, on_retry.unwrap_or("block"));
        world.app.store.put_config("policies", &policies).await.unwrap();
        world.bundle.clock.advance(Millis::from_secs(60));
        let mut workers = Vec::new();
        for n in 0..WORKERS {
            workers.push(BusyWorker { worker: world.worker(&format!("w-{n}"), None).await, busy: None });
        }
        let fails = on_retry.is_some();
        Self { world, workers, waiting: BTreeMap::new(), fails, record: Record::default() }
    }

    async fn run(mut self) -> Record {
        for step in 0..PERIODS * PERIOD_STEPS {
            if step % PERIOD_STEPS == 0 {
                self.enqueue_for_all().await;
            }
            for n in 0..WORKERS {
                self.work(n).await;
            }
            self.world.bundle.clock.advance(STEP);
        }
        self.record
    }

    async fn enqueue_for_all(&mut self) {
        let failing = conversation_id(FAILING);
        let message = self.world.enqueue(&failing, Some(ATTEMPTS)).await;
        self.record.arrived.push(message);
        for n in 0..OTHERS {
            let message = self.world.enqueue(&conversation_id(&format!("talk-{n}")), None).await;
            self.waiting.insert(message, self.world.app.now());
        }
    }

    /// Ends the worker's attempt when its time is over, and lets the worker claim the next message of any conversation.
    async fn work(&mut self, n: usize) {
        let now = self.world.app.now();
        let mut request = Poll::default();
        match self.workers[n].busy.take() {
            Some(busy) if busy.2 > now => {
                self.workers[n].busy = Some(busy);
                return;
            }
            Some((running, conversation, _)) => {
                self.end(&running).await;
                request = Poll { conversation: Some(conversation), ownership: Ownership::Discard, ..request };
            }
            None => {}
        }
        let worker = self.workers[n].worker.clone();
        let Some(job) = poll(&self.world.app, &worker, &request).await.unwrap().job else { return };
        let (message, conversation) = (job.lease.entry.message, job.conversation.id);
        match self.waiting.remove(&message) {
            Some(arrived_at) => self.record.waits.push(now.since(arrived_at)),
            None => self.record.claimed.push(message.clone()),
        }
        let running = RunningMessage { worker, message, lease: job.lease.id };
        self.workers[n].busy = Some((running, conversation, now + ATTEMPT_TIME));
    }

    async fn end(&self, running: &RunningMessage) {
        if self.fails && running.message == self.record.arrived[0] {
            let RunningMessage { worker, message, lease } = running;
            assert!(
                fail(&self.world.app, worker, message, lease, "no", Retry::After(None))
                    .await
                    .unwrap()
                    .requeued
            );
        } else {
            self.world.complete(running).await;
        }
    }
}

#[allow(clippy::print_stderr, reason = "figures for a person who runs this by hand")]
#[tokio::test]
async fn a_waiting_retry_blocks_only_its_own_conversation_and_only_when_the_policy_says_so() {
    let without_retries = Run::new(None).await.run().await;
    let blocked = Run::new(Some("block")).await.run().await;
    let overtaken = Run::new(Some("overtake")).await.run().await;
    for record in [&without_retries, &blocked, &overtaken] {
        assert_eq!((record.waits.len(), record.arrived.len()), (OTHERS * PERIODS, PERIODS));
    }
    assert_eq!(without_retries.claimed, without_retries.arrived);

    // The retries wait 1, 2, 4, 8 and 16 seconds, which allows four to six claims.
    for record in [&blocked, &overtaken] {
        assert!((4..=6).contains(&(record.claimed.iter().filter(|m| **m == record.arrived[0]).count())));
    }
    assert_eq!(
        blocked.others_claimed(),
        Vec::<&MessageId>::new(),
        "the first message blocks the others until it ends"
    );
    assert_eq!(overtaken.others_claimed(), overtaken.arrived[1..].iter().collect::<Vec<_>>());

    let [baseline, block, overtake] = [&without_retries, &blocked, &overtaken].map(Record::p99);
    eprintln!(
        "waiting time of other conversations, 99th percentile: {baseline} ms without retries, {block} ms with block, {overtake} ms with overtake"
    );
    assert!(baseline > 0.0, "no message waits");
    for with_retries in [block, overtake] {
        assert!(
            (with_retries / baseline - 1.0).abs() <= MAX_RATIO - 1.0,
            "{with_retries} ms, {baseline} ms without"
        );
    }
}
