//! The worker contract, native face, as workers see it: over the gateway, with the template's routes.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod attachments;
mod claims;
mod draining;
mod hydration;
mod media;
mod metadata;
mod refusals;
mod shards;
mod tokens;

use af_app::App;
use af_app::pool::reconcile::{Reconciled, reconcile};
use af_aws::objects::Objects;
use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::time::Millis;
use af_domain::worker::DrainReason;
use af_store::conversation::Commit;
use af_tests::bundle::Bundle;
use af_tests::calls::{Answer, Api};
use serde_json::{Value, json};

/// Items that a test's table may hold: far more than any of these makes.
const ITEMS_MAX: usize = 500;
/// The conversation that most of this is about.
const TALK: &str = "talk";

/// A deployment with one agent, whose bucket can be reached as workers reach it.
struct World {
    bundle: Bundle,
    api: Api,
    app: App,
    objects: Objects,
    http: reqwest::Client,
}

/// A worker's side of things.
struct Hands<'a> {
    world: &'a World,
    token: String,
}

impl World {
    async fn new() -> Self {
        Self::over(Bundle::fresh().await).await
    }

    async fn over(mut bundle: Bundle) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        bundle.aws = bundle.aws.with_endpoint_url(&format!("http://{}", listener.local_addr().unwrap()));
        let router = bundle.aws.endpoint_router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let api = Api::of(&bundle).await;
        api.put("/v1/agents/demo", json!({"version": "1"})).send().await.body_of(200);
        let objects = bundle.boot("effects").objects().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { app: bundle.app("reconcile"), objects, api, bundle, http }
    }

    /// Enqueues a message and answers its id.
    async fn enqueue(&self, conversation: &str) -> String {
        let body = json!({
            "conversationId": conversation, "agentKey": "demo",
            "payload": {"provider": "app", "providerUserId": "ann", "messageText": "hello"},
        });
        let answer = self.api.post("/v1/messages", body).send().await.body_of(202);
        answer["messageId"].as_str().unwrap().to_owned()
    }

    /// A worker started by hand, without a conversation.
    async fn worker(&self, id: &str) -> Hands<'_> {
        let answer = self.api.post("/v1/workers", json!({"workerId": id})).send().await.body_of(201);
        Hands { world: self, token: answer["token"].as_str().unwrap().to_owned() }
    }

    /// A worker that runs a message of `conversation`, and that message.
    async fn busy_worker(&self, id: &str, conversation: &str) -> (Hands<'_>, Value) {
        let (message, worker) = (self.enqueue(conversation).await, self.worker(id).await);
        let job = worker.claim(json!({})).await;
        assert_eq!(job["messageId"], message.as_str());
        (worker, job)
    }

    async fn message(&self, id: &Value) -> Value {
        self.api.get(&format!("/v1/messages/{}", id.as_str().unwrap())).send().await.body_of(200)
    }

    /// Tells a worker to leave.
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

    async fn reconcile(&self) {
        let ran = Box::pin(reconcile(&self.app)).await.unwrap();
        assert!(matches!(ran, Reconciled::Ran(_)), "nobody else reconciles here");
    }

    /// Every item of the table.
    async fn items(&self) -> Vec<Value> {
        let scan = json!({"TableName": self.bundle.template.tables[0].name, "Limit": ITEMS_MAX});
        let answer = self.bundle.aws.engine().call("Scan", scan).await.body;
        assert!(answer["LastEvaluatedKey"].is_null(), "these are not all");
        answer["Items"].as_array().unwrap().clone()
    }

    fn advance(&self, by: Millis) {
        self.bundle.clock.advance(by);
    }
}

impl Hands<'_> {
    async fn post(&self, path: &str, body: Value) -> Answer {
        self.world.api.post(&format!("/v1/worker/{path}"), body).key(&self.token).send().await
    }

    async fn get(&self, path: &str) -> Answer {
        self.world.api.get(&format!("/v1/worker/{path}")).key(&self.token).send().await
    }

    /// The job that a claim is answered.
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
