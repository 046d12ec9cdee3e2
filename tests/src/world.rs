//! A deployment behind its gateway, with the common calls of tests of its routes.
//!
//! A folder of tests that needs more wraps this `World` in its own. Tests of use cases use only a [`Bundle`].

use std::fmt::Write;

use af_api::reconcile::Report;
use af_app::App;
use af_app::agents::profiles::AgentSettings;
use af_app::pool::reconcile::{Reconciled, reconcile};
use af_domain::time::Millis;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::bundle::Bundle;
use crate::calls::Api;

/// Limit of the items of a test's table: far more than any test creates.
const MAX_ITEMS: usize = 2_000;

/// A deployment and its API.
pub struct World {
    /// Table, secrets, bucket, clock, template.
    pub bundle: Bundle,
    /// The gateway.
    pub api: Api,
    /// The use cases with the environment of the function reconcile, and with all permissions.
    pub app: App,
    /// The function reconcile, with its own permissions.
    reconciler: App,
}

impl World {
    /// Starts the API over `bundle`.
    ///
    /// # Panics
    /// When a function does not start.
    pub async fn over(bundle: Bundle) -> Self {
        let api = Api::of(&bundle).await;
        Self { app: bundle.app("reconcile"), reconciler: bundle.restricted_app("reconcile"), api, bundle }
    }

    /// The same, with a bucket that listens on loopback, so that workers can use its presigned URLs.
    ///
    /// # Panics
    /// When loopback cannot be listened on, and as `over`.
    pub async fn with_bucket_on_loopback(mut bundle: Bundle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be listened on");
        let address = listener.local_addr().expect("it is bound");
        bundle.aws = bundle.aws.with_endpoint_url(&format!("http://{address}"));
        let router = bundle.aws.endpoint_router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self::over(bundle).await
    }

    /// Configures an agent and returns its profile.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn agent(&self, key: &str) -> Value {
        self.api.put(&format!("/v1/agents/{key}"), json!({"version": "1"})).send().await.body_of(200)
    }

    /// Enqueues a message with this body and returns its id.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn enqueue_body(&self, body: Value) -> String {
        let answer = self.api.post("/v1/messages", body).send().await.body_of(202);
        answer["messageId"].as_str().expect("an id").to_owned()
    }

    /// Registers a worker without a conversation and returns its token.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn worker_token(&self, id: &str) -> String {
        let answer = self.api.post("/v1/workers", json!({"workerId": id})).send().await.body_of(201);
        answer["token"].as_str().expect("a token").to_owned()
    }

    /// A worker as operators see it.
    ///
    /// # Panics
    /// When this id does not exist.
    pub async fn worker_row(&self, id: &str) -> Value {
        self.api.get(&format!("/v1/workers/{id}")).send().await.body_of(200)
    }

    /// A message as operators see it; `id` is a string.
    ///
    /// # Panics
    /// When this id does not exist.
    pub async fn message(&self, id: &Value) -> Value {
        self.api.get(&format!("/v1/messages/{}", id.as_str().expect("an id"))).send().await.body_of(200)
    }

    /// Runs reconcile.
    ///
    /// # Panics
    /// When another run holds the lease.
    pub async fn reconcile(&self) -> Report {
        match Box::pin(reconcile(&self.reconciler)).await.expect("table and provider answer") {
            Reconciled::Ran(report) => report,
            Reconciled::LeftToAnother => panic!("another reconcile runs"),
        }
    }

    /// Every item of the table.
    ///
    /// # Panics
    /// When the table cannot be read, or has more items than a test creates.
    pub async fn items(&self) -> Vec<Value> {
        let mut scan = json!({"TableName": self.bundle.template.tables[0].name});
        let mut items = Vec::new();
        loop {
            let answer = self.bundle.aws.engine().call("Scan", scan.clone()).await.body;
            items.extend(answer["Items"].as_array().expect("a page").iter().cloned());
            assert!(items.len() < MAX_ITEMS, "more items than a test creates");
            if answer["LastEvaluatedKey"].is_null() {
                return items;
            }
            scan["ExclusiveStartKey"] = answer["LastEvaluatedKey"].clone();
        }
    }

    /// Moves the clock.
    pub fn advance(&self, by: Millis) {
        self.bundle.clock.advance(by);
    }
}

/// The settings of an enabled agent of version 1 without secrets.
#[must_use]
pub fn agent_settings() -> AgentSettings {
    AgentSettings {
        display_name: None,
        version: "1".to_owned(),
        enabled: true,
        secrets_ref: Vec::new(),
        bridge: None,
    }
}

/// The SHA-256 of `bytes` in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}
