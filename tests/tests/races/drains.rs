//! Attempts that end without a result of the message. A drain by the system does not count as an attempt, at most three
//! times. A crash, a silent worker and a missing worker count, so a message that kills its workers becomes a dead
//! letter.

use af_app::pool::provider::configure;
use af_app::worker::{heartbeat, leave};
use af_domain::conversation::MAX_UNCOUNTED_DRAINS;
use af_domain::ids::{ConversationId, MessageId, WorkerId};
use af_domain::message::{Message, MessageStatus};
use af_domain::policy::Policies;
use af_domain::time::Millis;
use af_domain::worker::{DrainReason, WorkerStatus};
use af_providers::{LocalConfig, Providers};
use af_store::conversation::Commit;
use af_tests::bundle::Bundle;

use crate::provider::ListedProvider;
use crate::world::{RunningMessage, World, conversation_id, outcomes};

const ATTEMPTS: u32 = 5;
const PAST_THE_LEASE: Millis = Millis::from_secs(91);
const PAST_STALENESS: Millis = Millis::from_secs(121);
const PAST_THE_BACKOFF: Millis = Millis::from_secs(661);
const PAST_THE_DRAIN: Millis = Millis::from_secs(301);
const HEARTBEAT_EVERY: Millis = Millis::from_secs(15);

impl World {
    async fn drain(&self, worker: &WorkerId, conversation: &ConversationId, reason: DrainReason) {
        let (now, policies) = (self.app.now(), Policies::default());
        let row = self.app.store.worker(worker).await.unwrap().unwrap();
        let drained = row.drain(reason, now, &policies).unwrap();
        let owned = self.stored(conversation).await;
        let commit = self.app.store.drain_if_active(&drained, Some(&owned), &policies).await.unwrap();
        assert!(matches!(commit, Commit::Done));
    }

    /// Advances the clock to the drain deadline, with all due heartbeats.
    async fn heartbeat_until_the_drain_deadline(&self, running: &RunningMessage) {
        let timeout = Policies::default().scaling.drain_timeout.as_millis();
        for _ in 0..timeout.div_ceil(HEARTBEAT_EVERY.as_millis()) {
            self.bundle.clock.advance(HEARTBEAT_EVERY);
            let answer =
                heartbeat(&self.app, &running.worker, &running.message, &running.lease, None).await.unwrap();
            assert!(answer.held && answer.control.should_stop);
        }
    }

    async fn leave(&self, running: &RunningMessage) {
        let left = leave(&self.app, &running.worker, &running.message, &running.lease, "the worker leaves")
            .await
            .unwrap();
        assert!(left.requeued != left.dead_lettered);
    }

    /// Advances the clock past the drain deadline and reconciles. The worker never uploads its snapshot.
    async fn pass_the_drain_deadline(&self) {
        self.bundle.clock.advance(PAST_THE_DRAIN);
        self.reconcile(&self.app).await;
    }

    async fn stored_message(&self, id: &MessageId) -> Message {
        self.app.store.message(id, self.app.now(), true).await.unwrap().unwrap()
    }

    async fn error_of(&self, id: &MessageId) -> String {
        self.stored_message(id).await.last_error.unwrap()
    }
}

#[tokio::test]
async fn a_message_that_runs_past_a_drain_deadline_is_requeued_at_once_without_counting_the_attempt() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, Some(1)).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    world.drain(&worker, &conversation, DrainReason::Operator).await;
    assert_eq!(outcomes(&world.reconcile(&world.app).await), [""; 0], "the drain deadline has not passed");
    world.heartbeat_until_the_drain_deadline(&running).await;
    let report = world.reconcile(&world.app).await;
    assert_eq!(outcomes(&report), ["recover done", "finish_drain done", "teardown done"]);

    assert!(world.error_of(&message).await.starts_with("drained: worker w had to leave"));
    assert_eq!(world.stored_message(&message).await.attempts, 0);
    let next = world.worker("next", None).await;
    let again = world.claim(&next, None).await;
    assert_eq!(again.message, message);
    let late = heartbeat(&world.app, &worker, &message, &running.lease, None).await.unwrap();
    assert!(!late.held);
    world.complete(&again).await;
    let done = world.stored_message(&message).await;
    assert_eq!((done.status, done.attempts), (MessageStatus::Done, 1));
}

#[tokio::test]
async fn a_message_that_a_drain_interrupts_keeps_its_place_in_the_queue() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let (first, _) = (world.enqueue(&conversation, None).await, world.enqueue(&conversation, None).await);
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    world.drain(&worker, &conversation, DrainReason::Operator).await;
    world.leave(&running).await;
    world.pass_the_drain_deadline().await;
    let next = world.worker("next", None).await;
    assert_eq!(world.claim(&next, None).await.message, first);
}

#[tokio::test]
async fn a_message_that_is_drained_too_often_becomes_a_dead_letter() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, Some(1)).await;
    for drain in 0..=MAX_UNCOUNTED_DRAINS {
        assert_eq!(world.stored_message(&message).await.status, MessageStatus::Queued, "drain {drain}");
        let worker = world.worker(&format!("w{drain}"), None).await;
        let running = world.claim(&worker, None).await;
        world.drain(&worker, &conversation, DrainReason::Operator).await;
        if drain % 2 == 0 {
            world.heartbeat_until_the_drain_deadline(&running).await;
            world.reconcile(&world.app).await;
        } else {
            world.leave(&running).await;
            world.pass_the_drain_deadline().await;
        }
    }
    let dead = world.stored_message(&message).await;
    assert_eq!((dead.status, dead.attempts), (MessageStatus::DeadLetter, 1));
    assert!(dead.last_error.unwrap().starts_with("drained more than 3 times, so this attempt counts"));
}

#[tokio::test]
async fn leaving_without_a_drain_by_the_system_counts_the_attempt() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    world.leave(&running).await;
    assert_eq!(
        (world.error_of(&message).await.as_str(), world.stored_message(&message).await.attempts),
        ("the worker leaves", 1)
    );
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    let running = world.claim(&worker, Some(&conversation)).await;
    world.drain(&worker, &conversation, DrainReason::Stale).await;
    world.leave(&running).await;
    assert_eq!(
        (world.error_of(&message).await.as_str(), world.stored_message(&message).await.attempts),
        ("the worker leaves", 2)
    );
}

#[tokio::test]
async fn leaving_twice_because_of_a_drain_requeues_the_message_once() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    world.drain(&worker, &conversation, DrainReason::Operator).await;
    world.leave(&running).await;
    let after = world.stored(&conversation).await;
    world.leave(&running).await;
    assert_eq!(world.stored(&conversation).await, after);
    assert_eq!(after.queue.entries()[0].drained, 1);
}

#[tokio::test]
async fn a_lease_that_expires_during_a_drain_counts_the_attempt() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    world.claim(&worker, Some(&conversation)).await;
    world.drain(&worker, &conversation, DrainReason::Operator).await;
    world.bundle.clock.advance(PAST_THE_LEASE);
    world.reconcile(&world.app).await;
    assert!(world.error_of(&message).await.starts_with("lease expired"));
    assert_eq!(world.stored_message(&message).await.attempts, 1);
}

#[tokio::test]
async fn a_message_that_silences_each_of_its_workers_becomes_a_dead_letter() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let (poison, next) =
        (world.enqueue(&conversation, Some(ATTEMPTS)).await, world.enqueue(&conversation, None).await);
    for attempt in 1..=ATTEMPTS {
        let worker = world.worker(&format!("w{attempt}"), None).await;
        assert_eq!(world.claim(&worker, None).await.message, poison, "attempt {attempt}");
        world.bundle.clock.advance(PAST_STALENESS);
        world.reconcile(&world.app).await;
        assert_eq!(world.stored_message(&poison).await.attempts, attempt);
        world.pass_the_drain_deadline().await;
    }
    let dead = world.stored_message(&poison).await;
    assert_eq!(dead.status, MessageStatus::DeadLetter);
    let error = dead.last_error.unwrap();
    assert_eq!(error, format!("lease expired: worker w{ATTEMPTS} sent no heartbeat"));
    let worker = world.worker("last", None).await;
    assert_eq!(world.claim(&worker, None).await.message, next, "the dead letter does not block the queue");
}

#[tokio::test]
async fn a_message_that_crashes_each_machine_becomes_a_dead_letter() {
    let mut bundle = Bundle::fresh().await;
    let provider = ListedProvider::new();
    bundle.providers = Providers::none().with(provider.clone());
    let world = World::in_bundle(bundle).await;
    configure(&world.app, &LocalConfig::default().into()).await.unwrap();
    let conversation = conversation_id("talk");
    let poison = world.enqueue(&conversation, Some(ATTEMPTS)).await;
    for attempt in 1..=ATTEMPTS {
        world.reconcile(&world.app).await;
        let worker = provider.all().pop().unwrap();
        let running = world.claim(&worker, Some(&conversation)).await;
        assert_eq!(running.message, poison, "attempt {attempt}");
        // The worker lives longer than the grace period in which its machine may be missing.
        for _ in 0..2 {
            world.bundle.clock.advance(Millis::from_secs(60));
            assert!(heartbeat(&world.app, &worker, &poison, &running.lease, None).await.unwrap().held);
        }
        provider.crash(&worker);
        world.reconcile(&world.app).await;
        assert_eq!(world.error_of(&poison).await, format!("worker {worker} is gone"));
        let row = world.app.store.stopped_worker(&worker, world.app.now()).await.unwrap().unwrap();
        assert!(matches!(row.status, WorkerStatus::Stopped { .. }));
        world.bundle.clock.advance(PAST_THE_BACKOFF);
    }
    assert_eq!(world.stored_message(&poison).await.status, MessageStatus::DeadLetter);
}
