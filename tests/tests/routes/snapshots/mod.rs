//! Snapshots, restore, and the drain that waits for them: over the worker routes, with real bytes in the bucket.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod drains;
pub mod expiry;
mod skips;
mod uploads;
mod users;

use std::ops::Deref;

use af_api::reconcile::Report;
use af_aws::objects::Objects;
use af_domain::ids::SnapshotId;
use af_tests::bundle::Bundle;
use af_tests::calls::Answer;
use af_tests::world::sha256;
use serde_json::{Value, json};

/// The conversation of user `ann` with the agent `demo`.
const CONVERSATION: &str = "user-agent:demo:ann";

/// A deployment whose bucket listens on loopback, so that workers reach it over HTTP.
struct World {
    deployment: af_tests::world::World,
    objects: Objects,
    http: reqwest::Client,
}

impl Deref for World {
    type Target = af_tests::world::World;

    fn deref(&self) -> &Self::Target {
        &self.deployment
    }
}

/// A worker of a test, which calls the worker routes.
struct TestWorker<'a> {
    world: &'a World,
    id: &'static str,
    token: String,
}

/// A prepared upload.
struct Upload {
    id: String,
    answer: Value,
}

impl World {
    async fn new() -> Self {
        let deployment = af_tests::world::World::with_bucket_on_loopback(Bundle::fresh().await).await;
        deployment.agent("demo").await;
        let objects = deployment.bundle.boot("effects").objects().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { deployment, objects, http }
    }

    async fn enqueue(&self, text: &str) {
        let body = json!({
            "conversationId": CONVERSATION, "agentKey": "demo",
            "payload": {"provider": "app", "providerUserId": "ann", "messageText": text},
        });
        self.enqueue_body(body).await;
    }

    /// A worker that an operator registers, without a conversation.
    async fn worker(&self, id: &'static str) -> TestWorker<'_> {
        TestWorker { world: self, id, token: self.worker_token(id).await }
    }

    /// A worker that has claimed and completed one message.
    async fn worker_after_one_message(&self, id: &'static str) -> TestWorker<'_> {
        self.enqueue("hello").await;
        let worker = self.worker(id).await;
        worker.work().await;
        worker
    }

    async fn put(&self, upload: &Upload, bytes: &[u8]) -> u16 {
        let mut request = self.http.put(upload.answer["uploadUrl"].as_str().unwrap()).body(bytes.to_vec());
        for (name, value) in upload.answer["headers"].as_object().unwrap() {
            if name != "content-length" {
                request = request.header(name, value.as_str().unwrap());
            }
        }
        request.send().await.unwrap().status().as_u16()
    }

    async fn fetch(&self, url: &Value) -> (u16, Vec<u8>) {
        let answer = self.http.get(url.as_str().unwrap()).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }

    async fn is_in_bucket(&self, id: &str) -> bool {
        self.objects.stored(&format!("snapshots/{id}")).await.unwrap().is_some()
    }

    async fn status_of(&self, id: &str) -> &'static str {
        let id = SnapshotId::parse(id).unwrap();
        self.app.store.snapshot(&id).await.unwrap().unwrap().status.name()
    }
}

impl TestWorker<'_> {
    async fn post(&self, path: &str, body: Value) -> Answer {
        self.world.api.post(&format!("/v1/worker/{path}"), body).key(&self.token).send().await
    }

    async fn poll(&self, body: Value) -> Value {
        self.post("poll", body).await.body_of(200)
    }

    /// Claims a message and completes it.
    async fn work(&self) {
        let job = self.poll(json!({"conversationId": CONVERSATION})).await["job"].clone();
        assert_eq!(job["conversationId"], CONVERSATION, "{job}");
        let path = format!("messages/{}/complete", job["messageId"].as_str().unwrap());
        self.post(&path, json!({"leaseId": job["leaseId"], "fence": job["fence"]})).await.body_of(200);
    }

    async fn announce(&self, reason: &str, bytes: &[u8]) -> Answer {
        let body = json!({
            "conversationId": CONVERSATION, "reason": reason, "sizeBytes": bytes.len(), "sha256": sha256(bytes),
        });
        self.post("snapshots", body).await
    }

    async fn prepare(&self, reason: &str, bytes: &[u8]) -> Upload {
        let answer = self.announce(reason, bytes).await.body_of(201);
        Upload { id: answer["snapshotId"].as_str().unwrap().to_owned(), answer }
    }

    async fn finalize(&self, upload: &Upload) -> Answer {
        self.post(&format!("snapshots/{}/finalize", upload.id), json!({})).await
    }

    /// Prepares, uploads and finalizes a snapshot.
    async fn upload_snapshot(&self, reason: &str, bytes: &[u8]) -> String {
        let upload = self.prepare(reason, bytes).await;
        assert_eq!(self.world.put(&upload, bytes).await, 200);
        assert_eq!(self.finalize(&upload).await.body_of(200)["status"], "ready");
        upload.id
    }

    async fn latest(&self) -> Answer {
        let path = "/v1/worker/snapshots/latest?conversationId=user-agent%3Ademo%3Aann";
        self.world.api.get(path).key(&self.token).send().await
    }

    /// The content of the latest snapshot.
    async fn restored(&self) -> Vec<u8> {
        let latest = self.latest().await.body_of(200);
        let (status, bytes) = self.world.fetch(&latest["downloadUrl"]).await;
        assert_eq!(status, 200);
        assert_eq!(
            (latest["sha256"].as_str(), latest["sizeBytes"].as_u64()),
            (Some(&*sha256(&bytes)), Some(bytes.len() as u64))
        );
        bytes
    }
}

/// The actions that were done, in order.
fn actions_done(report: &Report) -> Vec<&str> {
    report.actions.iter().filter(|a| a.outcome == "done").map(|a| &*a.action).collect()
}
