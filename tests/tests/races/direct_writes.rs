//! What nobody should do: writes that our code does not make, straight into the table; and what must come of them.

use af_app::conversations::consistency::{Audited, audit};
use af_app::worker::{Poll, poll};
use af_domain::ids::{ConversationId, MessageId, WorkerId};
use af_domain::message::MessageStatus;
use af_domain::time::Millis;
use af_store::conversation_key;
use af_store::keys::{self, Key};
use serde_json::{Value, json};

use crate::world::{Held, World};

/// Past the first retry's wait, and the time after which a contradiction is no mere delay.
pub const A_WHILE: Millis = Millis::from_secs(11);
/// Polls in which a worker must have got what waits.
const MAX_POLLS: usize = 5;

impl World {
    /// One write that our code does not make.
    async fn meddle(&self, operation: &str, key: &Key, more: Value) {
        let table = &self.bundle.template.tables[0].name;
        let mut request = json!({"TableName": table, "Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}}});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.bundle.aws.engine().call(operation, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    pub async fn delete(&self, key: Key) {
        self.meddle("DeleteItem", &key, json!({})).await;
    }

    pub async fn set(&self, key: Key, name: &str, value: Value) {
        let more = json!({
            "UpdateExpression": "SET #name = :value",
            "ExpressionAttributeNames": {"#name": name},
            "ExpressionAttributeValues": {":value": value},
        });
        self.meddle("UpdateItem", &key, more).await;
    }

    pub async fn remove(&self, key: Key, name: &str) {
        let more = json!({
            "UpdateExpression": "REMOVE #name",
            "ExpressionAttributeNames": {"#name": name},
        });
        self.meddle("UpdateItem", &key, more).await;
    }

    pub async fn audit(&self, repair: bool) -> Audited {
        audit(&self.app, None, repair).await.unwrap()
    }

    /// The audit finds `problems`, mends them, and finds nothing the next time.
    pub async fn healed(&self, problems: &[&str]) {
        let told = self.audit(false).await;
        assert_eq!(told.found.len(), problems.len(), "{:?}", told.found);
        for (found, expected) in told.found.iter().zip(problems) {
            assert!(found.problem.contains(expected) && !found.repaired, "{found:?}");
        }
        assert_eq!(self.audit(false).await, told, "what is only told is not mended");
        let mended = self.audit(true).await;
        assert!(!mended.found.is_empty() && mended.found.iter().all(|f| f.repaired), "{:?}", mended.found);
        let after = self.items().await;
        assert_eq!(self.audit(true).await.found, [], "the second time nothing is wrong");
        assert_eq!(self.items().await, after, "and nothing is written");
    }

    /// A worker that comes new gets `message` and completes it.
    pub async fn finished(&self, message: &MessageId) {
        self.bundle.clock.advance(A_WHILE);
        let worker = self.worker("rescuer", None).await;
        self.finished_by(&worker, None, message).await;
    }

    pub async fn finished_by(
        &self,
        worker: &WorkerId,
        conversation: Option<&ConversationId>,
        message: &MessageId,
    ) {
        for _ in 0..MAX_POLLS {
            let request = Poll { conversation: conversation.cloned(), ..Poll::default() };
            if let Some(job) = poll(&self.app, worker, &request).await.unwrap().job {
                let held =
                    Held { worker: worker.clone(), message: job.lease.entry.message, lease: job.lease.id };
                self.complete(&held).await;
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

pub fn meta(talk: &ConversationId) -> Key {
    keys::conversation(&conversation_key(talk))
}
