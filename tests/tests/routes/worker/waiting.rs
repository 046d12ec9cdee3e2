//! A worker that waits while more conversations stand in the ready index than one request brings: it looks at one shard
//! in each poll, and reconcile tells it when something is due.

use af_app::worker::{Poll, poll};
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::DrainReason;
use af_store::conversation::Commit;
use af_store::{conversation_key, keys};
use serde_json::{Value, json};

use crate::worker::{Hands, World};

/// Conversations with a message for later: more than are looked at in one request.
const SCHEDULED: usize = 40;
const LATER: Millis = Millis::from_days(1);
const SHARDS: u64 = 4;

impl World {
    async fn schedule(&self, conversation: &str, at: Timestamp) -> String {
        let body = json!({
            "conversationId": conversation, "agentKey": "demo", "scheduledFor": at.as_millis(),
            "payload": {"provider": "app", "providerUserId": "ann", "messageText": "hello"},
        });
        let answer = self.api.post("/v1/messages", body).send().await.body_of(202);
        answer["messageId"].as_str().unwrap().to_owned()
    }

    /// A deployment in which many messages wait for a later time.
    async fn with_a_long_index() -> Self {
        let world = Self::new().await;
        for n in 0..SCHEDULED {
            world.schedule(&format!("later-{n}"), world.app.now() + LATER).await;
        }
        world
    }
}

/// A conversation in this shard of the ready index.
fn talk_in(shard: u64) -> String {
    let stands_there = |id: &String| {
        let key = conversation_key(&ConversationId::parse(id.clone()).unwrap());
        keys::ready_partition(&key, SHARDS) == keys::ready_shard(shard)
    };
    (0..).map(|n| format!("talk-{n}")).find(stands_there).unwrap()
}

/// Has it wait for so long that it has looked at the index as a whole, and at one of its shards.
async fn settle_down(worker: &Hands<'_>) {
    for _ in 0..3 {
        assert!(look(worker).await.is_null());
    }
}

/// The job of a poll without a conversation.
async fn look(worker: &Hands<'_>) -> Value {
    worker.poll(json!({})).await["job"].clone()
}

/// It answers the message and lets go of the conversation.
async fn done_with(worker: &Hands<'_>, job: &Value) {
    worker.complete(job, json!({})).await.body_of(200);
    let release = json!({"conversationId": job["conversationId"], "release": true, "discard": true});
    assert!(worker.poll(release).await["job"].is_null());
}

#[tokio::test]
async fn what_is_due_is_claimed_by_the_next_poll_after_reconcile_has_seen_it() {
    let world = World::with_a_long_index().await;
    let worker = world.worker("w").await;
    for shard in 0..SHARDS {
        settle_down(&worker).await;
        let message = world.enqueue(&talk_in(shard)).await;
        world.reconcile().await;
        let job = look(&worker).await;
        assert_eq!(job["messageId"], message.as_str(), "in shard {shard}");
        done_with(&worker, &job).await;
    }
}

#[tokio::test]
async fn what_is_scheduled_is_claimed_by_the_first_poll_after_it_has_become_due() {
    let world = World::with_a_long_index().await;
    let worker = world.worker("w").await;
    let pause = Policies::default().poll.idle;
    for shard in 0..SHARDS {
        settle_down(&worker).await;
        let due = world.app.now() + Millis::from_secs(35);
        let message = world.schedule(&talk_in(shard), due).await;
        world.reconcile().await;
        let mut job = Value::Null;
        while job.is_null() {
            assert!(world.app.now() < due, "in shard {shard}: no poll is in vain once it is due");
            world.advance(pause);
            job = look(&worker).await;
        }
        assert_eq!(job["messageId"], message.as_str());
        done_with(&worker, &job).await;
    }
}

#[tokio::test]
async fn what_reconcile_has_told_nobody_of_is_found_in_as_many_polls_as_there_are_shards() {
    let world = World::with_a_long_index().await;
    let worker = world.worker("w").await;
    for shard in 0..SHARDS {
        settle_down(&worker).await;
        let message = world.enqueue(&talk_in(shard)).await;
        let mut jobs = Vec::new();
        for _ in 0..SHARDS {
            jobs.push(look(&worker).await);
            if !jobs.last().unwrap().is_null() {
                break;
            }
        }
        let job = jobs.pop().unwrap();
        assert_eq!(job["messageId"], message.as_str(), "in shard {shard}");
        done_with(&worker, &job).await;
    }
}

#[tokio::test]
async fn one_that_has_had_a_conversation_since_looks_everywhere_again() {
    let world = World::with_a_long_index().await;
    let (worker, id) = (world.worker("w").await, WorkerId::parse("w").unwrap());
    let release = |talk: &str| {
        let conversation = Some(ConversationId::parse(talk).unwrap());
        Poll { conversation, release: true, discard: true, ..Poll::default() }
    };
    for (shard, elsewhere) in (0..SHARDS).flat_map(|shard| [(shard, false), (shard, true)]) {
        settle_down(&worker).await;
        world.advance(Millis::new(1));
        world.enqueue("side").await;
        let side = worker.claim(json!({"conversationId": "side"})).await;
        match elsewhere {
            false => done_with(&worker, &side).await,
            // This function has it for one that waits still.
            true => {
                worker.complete(&side, json!({})).await.body_of(200);
                assert!(poll(&world.app, &id, &release("side")).await.unwrap().job.is_none());
            }
        }
        let message = world.enqueue(&talk_in(shard)).await;
        let job = look(&worker).await;
        assert_eq!(job["messageId"], message.as_str(), "in shard {shard}, {elsewhere}");
        done_with(&worker, &job).await;
        assert!(look(&worker).await.is_null());
    }
}

#[tokio::test]
async fn only_a_worker_without_a_conversation_is_told_of_something() {
    let world = World::new().await;
    let (_busy, _) = world.busy_worker("busy", "talk").await;
    world.worker("leaves").await;
    let id = |name: &str| WorkerId::parse(name).unwrap();
    world.drain(&id("leaves"), DrainReason::Operator).await;
    let before = world.items().await;
    for name in ["busy", "leaves", "nobody"] {
        let told = world.app.store.wake_if_free(&id(name), world.app.now()).await.unwrap();
        assert!(matches!(told, Commit::Stale), "{name}");
    }
    assert_eq!(world.items().await, before);
}

#[tokio::test]
async fn of_a_worker_that_takes_what_waits_the_row_forgets_that_it_was_told() {
    let world = World::with_a_long_index().await;
    let worker = world.worker("w").await;
    settle_down(&worker).await;
    let row = async || world.app.store.worker_now(&WorkerId::parse("w").unwrap()).await.unwrap().unwrap();
    world.reconcile().await;
    assert_eq!(row().await.wake_at, None, "nothing is due within a minute");
    world.enqueue("talk").await;
    world.reconcile().await;
    assert_eq!(row().await.wake_at, Some(world.app.now()));
    assert!(!look(&worker).await.is_null());
    assert_eq!(row().await.wake_at, None);
}
