//! The APIs of operators and consumer apps, as their callers see them: over the gateway, with the routes of the
//! template.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

pub mod access;
mod agents;
mod backlog;
mod bodies;
pub mod bridge;
mod companies;
mod documents;
mod events;
mod expiry;
mod hydration;
mod idempotency_keys;
mod ingress_config;
mod ledger;
mod lists;
pub mod managed_bots;
mod message_config;
mod messages;
pub mod onboarding;
mod once;
mod operator;
pub mod pairing;
mod policies;
mod provider;
mod push_broadcasts;
mod push_jobs;
mod push_templates;
pub mod recover;
mod retry;
pub mod secrets;
pub mod skills;
mod telegram;
mod templates;
mod usage;
mod user_agents;
mod user_messages;
pub mod user_tokens;
mod users;
pub mod validity;
mod why;
mod workers;

use std::future::Future;
use std::ops::Deref;

use af_domain::time::Millis;
use af_runtime::clock::Clock;
use af_tests::bundle::Bundle;
use af_tests::calls::Answer;
use serde_json::{Value, json};

/// A deployment with one agent, `support`.
struct World {
    deployment: af_tests::world::World,
}

impl Deref for World {
    type Target = af_tests::world::World;

    fn deref(&self) -> &Self::Target {
        &self.deployment
    }
}

impl World {
    async fn new() -> Self {
        Self::over(Bundle::fresh().await).await
    }

    async fn over(bundle: Bundle) -> Self {
        let deployment = af_tests::world::World::over(bundle).await;
        deployment.agent("support").await;
        Self { deployment }
    }

    /// Enqueues `text` and returns the message's id.
    async fn enqueue(&self, conversation: &str, text: &str) -> String {
        self.enqueue_body(message(conversation, text)).await
    }

    async fn bind(&self, user: &str, agent: &str) -> Value {
        let path = format!("/v1/users/{user}/binding");
        self.api.put(&path, json!({"agentKey": agent})).send().await.body_of(200)
    }

    async fn say(&self, user: &str, content: &str) -> String {
        let path = format!("/v1/users/{user}/agents/support/messages");
        let answer = self.api.post(&path, json!({"content": content})).send().await.body_of(202);
        answer["messageId"].as_str().unwrap().to_owned()
    }

    /// Registers a worker and returns its token.
    async fn worker(&self, id: &str) -> String {
        self.worker_token(id).await
    }

    async fn poll(&self, token: &str, body: Value) -> Value {
        self.api.post("/v1/worker/poll", body).key(token).send().await.body_of(200)
    }

    /// The worker claims a message and completes it with this history.
    async fn complete_one(&self, token: &str, conversation: Option<&str>, history: Value) {
        let polled = self.poll(token, json!({"conversationId": conversation})).await;
        let answer = json!({"history": history, "reply": {"text": "hi there"}});
        self.on_job(token, &polled["job"], "complete", answer).await;
    }

    /// The worker claims a message and fails it without a retry.
    async fn dead_letter_one(&self, token: &str, conversation: Option<&str>) {
        let polled = self.poll(token, json!({"conversationId": conversation})).await;
        let failure = json!({"errorMessage": "no", "retryable": false});
        self.on_job(token, &polled["job"], "fail", failure).await;
    }

    /// The worker makes the call `verb` for the message of a job that it has claimed.
    async fn on_job(&self, token: &str, job: &Value, verb: &str, more: Value) {
        let mut body = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let path = format!("/v1/worker/messages/{}/{verb}", job["messageId"].as_str().unwrap());
        self.api.post(&path, body).key(token).send().await.body_of(200);
    }

    /// Lets `call` wait, and moves the clock in small steps until it has an answer. Returns the answer with the time that has
    /// passed.
    async fn waited(&self, call: impl Future<Output = Answer> + Send + 'static) -> (Value, Millis) {
        let call = tokio::spawn(call);
        let start = self.bundle.clock.now();
        while !call.is_finished() {
            self.advance(Millis::new(50));
            // The clock stands still for the call, which gets real time for its requests.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
        (call.await.unwrap().body_of(200), self.bundle.clock.now().since(start))
    }

    /// Advances the clock until the functions' caches of policies, profiles and keys have expired.
    fn expire_caches(&self) {
        self.bundle.clock.advance(Millis::from_secs(61));
    }

    /// Sends a call that must be refused, and checks that it writes nothing.
    async fn refused(&self, call: af_tests::calls::Call) -> Answer {
        let before = self.items().await;
        let answer = call.send().await;
        assert!(answer.status.is_client_error(), "{}", answer.body);
        assert_eq!(self.items().await, before, "a refusal writes nothing: {}", answer.body);
        answer
    }
}

/// The body of `POST /v1/messages`.
fn message(conversation: &str, text: &str) -> Value {
    json!({
        "conversationId": conversation,
        "agentKey": "support",
        "payload": {"provider": "app", "providerUserId": "u-1", "messageText": text},
    })
}

/// The values of a field in the items of a page.
fn each<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    page["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}
