//! What ends a message's attempt and does not come from the message: a drain that we ordered does not count, at most
//! three times; a crash, silence and a worker that vanished do, and so a poisonous message ends.

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

use crate::provider::Names;
use crate::world::{Held, World, conversation, outcomes};

const ATTEMPTS: u32 = 5;
const PAST_THE_LEASE: Millis = Millis::from_secs(91);
const PAST_STALENESS: Millis = Millis::from_secs(121);
const PAST_THE_BACKOFF: Millis = Millis::from_secs(133);
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

    /// Lives through the time that a drain may take, with a heartbeat wherever one is due.
    async fn beat_until_the_drain_is_over(&self, held: &Held) {
        let timeout = Policies::default().scaling.drain_timeout.as_millis();
        for _ in 0..timeout.div_ceil(HEARTBEAT_EVERY.as_millis()) {
            self.bundle.clock.advance(HEARTBEAT_EVERY);
            let beat = heartbeat(&self.app, &held.worker, &held.message, &held.lease, None).await.unwrap();
            assert!(beat.held && beat.control.should_stop);
        }
    }

    async fn leave(&self, held: &Held) {
        let left = leave(&self.app, &held.worker, &held.message, &held.lease, "had to go").await.unwrap();
        assert!(left.requeued != left.dead_lettered);
    }

    /// A worker that owes a snapshot and never brings it is done with when its time is up.
    async fn outwait_the_drain(&self) {
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
async fn a_message_that_outlasts_a_drain_of_ours_goes_on_elsewhere_at_once_and_uncounted() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, Some(1)).await;
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    world.drain(&worker, &talk, DrainReason::Operator).await;
    assert_eq!(outcomes(&world.reconcile(&world.app).await), [""; 0], "it has its time");
    world.beat_until_the_drain_is_over(&held).await;
    let report = world.reconcile(&world.app).await;
    assert_eq!(outcomes(&report), ["recover done", "finish_drain done", "teardown done"]);

    assert!(world.error_of(&message).await.starts_with("drained: worker w had to leave"));
    assert_eq!(world.stored_message(&message).await.attempts, 0);
    let next = world.worker("next", None).await;
    let again = world.claim(&next, None).await;
    assert_eq!(again.message, message);
    let late = heartbeat(&world.app, &worker, &message, &held.lease, None).await.unwrap();
    assert!(!late.held);
    world.complete(&again).await;
    let done = world.stored_message(&message).await;
    assert_eq!((done.status, done.attempts), (MessageStatus::Done, 1));
}

#[tokio::test]
async fn a_message_keeps_its_place_when_a_drain_cuts_it_off() {
    let world = World::new().await;
    let talk = conversation("talk");
    let (first, _) = (world.enqueue(&talk, None).await, world.enqueue(&talk, None).await);
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    world.drain(&worker, &talk, DrainReason::Operator).await;
    world.leave(&held).await;
    world.outwait_the_drain().await;
    let next = world.worker("next", None).await;
    assert_eq!(world.claim(&next, None).await.message, first);
}

#[tokio::test]
async fn a_message_that_is_drained_too_often_is_counted_and_ends() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, Some(1)).await;
    for drain in 0..=MAX_UNCOUNTED_DRAINS {
        assert_eq!(world.stored_message(&message).await.status, MessageStatus::Queued, "drain {drain}");
        let worker = world.worker(&format!("w{drain}"), None).await;
        let held = world.claim(&worker, None).await;
        world.drain(&worker, &talk, DrainReason::Operator).await;
        if drain % 2 == 0 {
            world.beat_until_the_drain_is_over(&held).await;
            world.reconcile(&world.app).await;
        } else {
            world.leave(&held).await;
            world.outwait_the_drain().await;
        }
    }
    let dead = world.stored_message(&message).await;
    assert_eq!((dead.status, dead.attempts), (MessageStatus::DeadLetter, 1));
    assert!(dead.last_error.unwrap().starts_with("drained more than 3 times, so this attempt counts"));
}

#[tokio::test]
async fn a_worker_that_only_says_that_it_was_drained_is_counted() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    world.leave(&held).await;
    assert_eq!(
        (world.error_of(&message).await.as_str(), world.stored_message(&message).await.attempts),
        ("had to go", 1)
    );
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    let held = world.claim(&worker, Some(&talk)).await;
    world.drain(&worker, &talk, DrainReason::Stale).await;
    world.leave(&held).await;
    assert_eq!(
        (world.error_of(&message).await.as_str(), world.stored_message(&message).await.attempts),
        ("had to go", 2)
    );
}

#[tokio::test]
async fn a_message_given_back_twice_because_of_a_drain_was_given_back_once() {
    let world = World::new().await;
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    world.drain(&worker, &talk, DrainReason::Operator).await;
    world.leave(&held).await;
    let after = world.stored(&talk).await;
    world.leave(&held).await;
    assert_eq!(world.stored(&talk).await, after);
    assert_eq!(after.queue.entries()[0].drained, 1);
}

#[tokio::test]
async fn a_worker_that_falls_silent_while_it_drains_is_counted() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    world.claim(&worker, Some(&talk)).await;
    world.drain(&worker, &talk, DrainReason::Operator).await;
    world.bundle.clock.advance(PAST_THE_LEASE);
    world.reconcile(&world.app).await;
    assert!(world.error_of(&message).await.starts_with("lease expired"));
    assert_eq!(world.stored_message(&message).await.attempts, 1);
}

#[tokio::test]
async fn a_message_that_silences_each_of_its_workers_becomes_a_dead_letter() {
    let world = World::new().await;
    let talk = conversation("talk");
    let (poison, next) = (world.enqueue(&talk, Some(ATTEMPTS)).await, world.enqueue(&talk, None).await);
    for attempt in 1..=ATTEMPTS {
        let worker = world.worker(&format!("w{attempt}"), None).await;
        assert_eq!(world.claim(&worker, None).await.message, poison, "attempt {attempt}");
        world.bundle.clock.advance(PAST_STALENESS);
        world.reconcile(&world.app).await;
        assert_eq!(world.stored_message(&poison).await.attempts, attempt);
        world.outwait_the_drain().await;
    }
    let dead = world.stored_message(&poison).await;
    assert_eq!(dead.status, MessageStatus::DeadLetter);
    let error = dead.last_error.unwrap();
    assert_eq!(error, format!("lease expired: worker w{ATTEMPTS} sent no heartbeat"));
    let worker = world.worker("last", None).await;
    assert_eq!(world.claim(&worker, None).await.message, next, "it holds nobody back any more");
}

#[tokio::test]
async fn a_message_that_brings_each_machine_down_becomes_a_dead_letter() {
    let mut bundle = Bundle::fresh().await;
    let names = Names::new();
    bundle.providers = Providers::none().with(names.clone());
    let world = World::in_bundle(bundle).await;
    configure(&world.app, &LocalConfig::default().into()).await.unwrap();
    let talk = conversation("talk");
    let poison = world.enqueue(&talk, Some(ATTEMPTS)).await;
    for attempt in 1..=ATTEMPTS {
        world.reconcile(&world.app).await;
        let worker = names.all().pop().unwrap();
        let held = world.claim(&worker, Some(&talk)).await;
        assert_eq!(held.message, poison, "attempt {attempt}");
        // It lives past the grace in which a machine may be missing.
        for _ in 0..2 {
            world.bundle.clock.advance(Millis::from_secs(60));
            assert!(heartbeat(&world.app, &worker, &poison, &held.lease, None).await.unwrap().held);
        }
        names.crash(&worker);
        world.reconcile(&world.app).await;
        assert_eq!(world.error_of(&poison).await, format!("worker {worker} is gone"));
        let row = world.app.store.stopped_worker(&worker, world.app.now()).await.unwrap().unwrap();
        assert!(matches!(row.status, WorkerStatus::Stopped { .. }));
        world.bundle.clock.advance(PAST_THE_BACKOFF);
    }
    assert_eq!(world.stored_message(&poison).await.status, MessageStatus::DeadLetter);
}
