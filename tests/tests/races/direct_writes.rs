//! Direct writes to the table, which the system does not make, and checks of their repair.

use af_api::queue::RecoverAnswer;
use af_app::conversations::consistency::check;
use af_app::worker::{Poll, poll};
use af_domain::ids::{ConversationId, MessageId, WorkerId};
use af_domain::message::MessageStatus;
use af_domain::time::Millis;
use af_store::conversation_key;
use af_store::keys::{self, Key};
use serde_json::{Value, json};

use crate::world::{RunningMessage, World};

/// A time after the first backoff, and after the time in which a stale read can explain a contradiction.
pub const PAST_THE_DELAYS: Millis = Millis::from_secs(11);
/// Limit of the polls until a worker has claimed the message.
const MAX_POLLS: usize = 5;

impl World {
    /// One direct write to the table.
    async fn write_directly(&self, operation: &str, key: &Key, more: Value) {
        let table = &self.bundle.template.tables[0].name;
        let mut request = json!({"TableName": table, "Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}}});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.bundle.aws.engine().call(operation, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    pub async fn delete(&self, key: Key) {
        self.write_directly("DeleteItem", &key, json!({})).await;
    }

    pub async fn set(&self, key: Key, name: &str, value: Value) {
        let more = json!({
            "UpdateExpression": "SET #name = :value",
            "ExpressionAttributeNames": {"#name": name},
            "ExpressionAttributeValues": {":value": value},
        });
        self.write_directly("UpdateItem", &key, more).await;
    }

    pub async fn remove(&self, key: Key, name: &str) {
        let more = json!({
            "UpdateExpression": "REMOVE #name",
            "ExpressionAttributeNames": {"#name": name},
        });
        self.write_directly("UpdateItem", &key, more).await;
    }

    pub async fn check_consistency(&self, repair: bool) -> RecoverAnswer {
        check(&self.app, None, repair).await.unwrap()
    }

    /// The consistency check finds `problems`, repairs them, and finds nothing in the next call.
    pub async fn assert_check_repairs(&self, problems: &[&str]) {
        let reported = self.check_consistency(false).await;
        assert_eq!(reported.found.len(), problems.len(), "{:?}", reported.found);
        for (found, expected) in reported.found.iter().zip(problems) {
            assert!(found.problem.contains(expected) && !found.repaired, "{found:?}");
        }
        assert_eq!(self.check_consistency(false).await, reported, "a check without repair changes nothing");
        let repaired = self.check_consistency(true).await;
        assert!(
            !repaired.found.is_empty() && repaired.found.iter().all(|f| f.repaired),
            "{:?}",
            repaired.found
        );
        let after = self.items().await;
        assert_eq!(self.check_consistency(true).await.found, [], "the second check finds nothing");
        assert_eq!(self.items().await, after, "the second check writes nothing");
    }

    /// A new worker claims and completes `message`.
    pub async fn assert_claimable(&self, message: &MessageId) {
        self.bundle.clock.advance(PAST_THE_DELAYS);
        let worker = self.worker("new-worker", None).await;
        self.assert_claimable_by(&worker, None, message).await;
    }

    /// The worker claims and completes `message`.
    pub async fn assert_claimable_by(
        &self,
        worker: &WorkerId,
        conversation: Option<&ConversationId>,
        message: &MessageId,
    ) {
        for _ in 0..MAX_POLLS {
            let request = Poll { conversation: conversation.cloned(), ..Poll::default() };
            if let Some(job) = poll(&self.app, worker, &request).await.unwrap().job {
                let running = RunningMessage {
                    worker: worker.clone(),
                    message: job.lease.entry.message,
                    lease: job.lease.id,
                };
                self.complete(&running).await;
            }
        }
        let message = self.app.store.message(message, self.app.now(), true).await.unwrap().unwrap();
        assert_eq!(message.status, MessageStatus::Done);
    }

    pub async fn items(&self) -> Vec<Value> {
        let table = &self.bundle.template.tables[0].name;
        let answer = self.bundle.aws.engine().call("Scan", json!({"TableName": table})).await;
        answer.body["Items"].as_array().unwrap().clone()
    }
}

pub fn meta(conversation: &ConversationId) -> Key {
    keys::conversation(&conversation_key(conversation))
}
