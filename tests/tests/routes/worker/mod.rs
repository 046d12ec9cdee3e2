//! The native API of the worker contract, as workers see it: over the gateway, with the routes of the template.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

pub mod attachments;
mod claims;
pub mod documents;
pub mod drafts;
mod draining;
mod groups;
mod hydration;
pub mod ingress;
pub mod media;
mod metadata;
mod outbox;
mod refusals;
mod shards;
mod stop;
mod tokens;
mod unicode;
mod usage;
mod waiting;

use std::ops::Deref;

use af_aws::objects::Objects;
use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::worker::DrainReason;
use af_store::conversation::Commit;
use af_tests::bundle::Bundle;
use af_tests::calls::Answer;
use af_tests::telegram::{Person, with_telegram};
use serde_json::{Value, json};

/// The conversation of most tests.
const CONVERSATION: &str = "talk";

/// A deployment with one agent, whose bucket listens on loopback, so that workers reach it over HTTP.
pub struct World {
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
pub struct TestWorker<'a> {
    world: &'a World,
    token: String,
}

impl World {
    async fn new() -> Self {
        Self::over(Bundle::fresh().await).await
    }

    async fn over(bundle: Bundle) -> Self {
        let deployment = af_tests::world::World::with_bucket_on_loopback(bundle).await;
        deployment.agent("demo").await;
        let objects = deployment.bundle.boot("effects").objects().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { deployment, objects, http }
    }

    /// A deployment with a bot, and a person who writes to it.
    async fn with_person() -> (Self, Person) {
        let (bundle, telegram) = with_telegram().await;
        let world = Self::over(bundle).await;
        let person = Person::writes_to(&world.bundle, world.api.clone(), telegram, "demo").await;
        (world, person)
    }

    /// Enqueues a message and returns its id.
    async fn enqueue(&self, conversation: &str) -> String {
        let body = json!({
            "conversationId": conversation, "agentKey": "demo",
            "payload": {"provider": "app", "providerUserId": "ann", "messageText": "hello"},
        });
        self.enqueue_body(body).await
    }

    /// A worker that an operator registers, without a conversation.
    async fn worker(&self, id: &str) -> TestWorker<'_> {
        TestWorker { world: self, token: self.worker_token(id).await }
    }

    /// A worker that runs a message of `conversation`, and that message.
    async fn busy_worker(&self, id: &str, conversation: &str) -> (TestWorker<'_>, Value) {
        let (message, worker) = (self.enqueue(conversation).await, self.worker(id).await);
        let job = worker.claim(json!({})).await;
        assert_eq!(job["messageId"], message.as_str());
        (worker, job)
    }

    /// Starts the drain of a worker.
    async fn drain(&self, worker: &WorkerId, reason: DrainReason) {
        let policies = Policies::default();
        let row = self.app.store.worker_now(worker).await.unwrap().unwrap();
        let conversation = match &row.assignment {
            Some(assignment) => self.app.store.conversation(&assignment.key, true).await.unwrap(),
            None => None,
        };
        let drained = row.drain(reason, self.app.now(), &policies).unwrap();
        let commit = self.app.store.drain_if_active(&drained, conversation.as_ref(), &policies).await;
        assert!(matches!(commit.unwrap(), Commit::Done));
    }
}

impl TestWorker<'_> {
    async fn post(&self, path: &str, body: Value) -> Answer {
        self.world.api.post(&format!("/v1/worker/{path}"), body).key(&self.token).send().await
    }

    async fn get(&self, path: &str) -> Answer {
        self.world.api.get(&format!("/v1/worker/{path}")).key(&self.token).send().await
    }

    /// The job in the response to a claim.
    async fn claim(&self, body: Value) -> Value {
        self.post("claim", body).await.body_of(200)["job"].clone()
    }

    async fn poll(&self, body: Value) -> Value {
        self.post("poll", body).await.body_of(200)
    }

    async fn complete(&self, job: &Value, more: Value) -> Answer {
        let mut body = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post(&format!("messages/{}/complete", job["messageId"].as_str().unwrap()), body).await
    }
}
