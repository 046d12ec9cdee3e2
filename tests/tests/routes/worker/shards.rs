//! A worker without a conversation claims due messages in every shard of the ready index, while many messages wait for
//! a later time.

use af_domain::ids::ConversationId;
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};
use af_store::{conversation_key, keys};
use serde_json::{Value, json};

use crate::worker::{TestWorker, World};

/// The number of conversations with a message for a later time.
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

    /// A deployment with several shards, in which many messages wait for a later time.
    async fn with_shards() -> Self {
        let world = Self::new().await;
        let policies = json!({"queue": {"readyShards": SHARDS}});
        world.api.put("/v1/config/policies", policies).send().await.body_of(200);
        // Every function has read the policies again.
        world.advance(Millis::from_secs(10));
        for n in 0..SCHEDULED {
            world.schedule(&format!("later-{n}"), world.app.now() + LATER).await;
        }
        world
    }
}

/// A conversation in this shard of the ready index.
fn conversation_in(shard: u64) -> String {
    let is_in_shard = |id: &String| {
        let key = conversation_key(&ConversationId::parse(id.clone()).unwrap());
        keys::ready_partition(&key, SHARDS) == keys::ready_shard(shard)
    };
    (0..).map(|n| format!("conversation-{n}")).find(is_in_shard).unwrap()
}

/// The job of a poll without a conversation.
async fn poll_free(worker: &TestWorker<'_>) -> Value {
    worker.poll(json!({})).await["job"].clone()
}

/// Completes the message and releases the conversation.
async fn complete_and_release(worker: &TestWorker<'_>, job: &Value) {
    worker.complete(job, json!({})).await.body_of(200);
    let release = json!({"conversationId": job["conversationId"], "release": true, "discard": true});
    assert!(worker.poll(release).await["job"].is_null());
}

#[tokio::test]
async fn the_next_poll_claims_a_message_in_any_shard() {
    let world = World::with_shards().await;
    let worker = world.worker("w").await;
    for shard in 0..SHARDS {
        assert!(poll_free(&worker).await.is_null());
        let message = world.enqueue(&conversation_in(shard)).await;
        let job = poll_free(&worker).await;
        assert_eq!(job["messageId"], message.as_str(), "in shard {shard}");
        complete_and_release(&worker, &job).await;
    }
}

#[tokio::test]
async fn the_first_poll_after_the_scheduled_time_claims_a_message_in_any_shard() {
    let world = World::with_shards().await;
    let worker = world.worker("w").await;
    let pause = Policies::default().poll.idle;
    for shard in 0..SHARDS {
        let due = world.app.now() + Millis::from_secs(35);
        let message = world.schedule(&conversation_in(shard), due).await;
        let mut job = poll_free(&worker).await;
        while job.is_null() {
            assert!(
                world.app.now() < due,
                "in shard {shard}: no poll after the due time has claimed the message"
            );
            world.advance(pause);
            job = poll_free(&worker).await;
        }
        assert_eq!(job["messageId"], message.as_str());
        complete_and_release(&worker, &job).await;
    }
}
