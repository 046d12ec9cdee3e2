//! The compatible API of the worker contract, as published images use it: over a socket, by function name. The
//! responses are compared as exact JSON.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod answers;
mod files;
mod final_snapshots;
mod fuzz;
mod lifecycle;
mod logs;
mod refusals;
mod retries;
mod unicode;

use std::ops::Deref;

use af_tests::bundle::Bundle;
use af_tests::world::sha256;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The conversation of these tests.
const CONVERSATION: &str = "telegram:7:555";
/// The token of the agent's bot.
const BOT_TOKEN: &str = "7:the-token-of-the-bot";

/// A deployment that images reach over HTTP: gateway and bucket listen on loopback.
struct World {
    deployment: af_tests::world::World,
    url: String,
    http: reqwest::Client,
}

impl Deref for World {
    type Target = af_tests::world::World;

    fn deref(&self) -> &Self::Target {
        &self.deployment
    }
}

/// A published image.
struct Image<'a> {
    world: &'a World,
    id: String,
    token: String,
    /// The value of `CONVEX_URL` in the image's environment.
    base: String,
}

impl World {
    async fn new() -> Self {
        Self::over(Bundle::fresh().await).await
    }

    async fn over(bundle: Bundle) -> Self {
        logs::capture();
        let deployment = af_tests::world::World::with_bucket_on_loopback(bundle).await;
        let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", gateway.local_addr().unwrap());
        let router = deployment.api.router();
        tokio::spawn(async move { axum::serve(gateway, router).await });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let secret = json!({"plaintextValue": BOT_TOKEN});
        deployment.api.put("/v1/secrets/telegram.botToken", secret).send().await.body_of(200);
        let agent = json!({"version": "1", "secretsRef": ["telegram.botToken"]});
        deployment.api.put("/v1/agents/demo", agent).send().await.body_of(200);
        Self { deployment, url, http }
    }

    /// Enqueues a message and returns its id.
    async fn enqueue(&self, conversation: &str, provider: &str, text: &str) -> String {
        let body = json!({
            "conversationId": conversation, "agentKey": "demo",
            "payload": {"provider": provider, "providerUserId": "555", "messageText": text},
        });
        self.enqueue_body(body).await
    }

    /// An image that an operator registers, with or without a conversation.
    async fn image(&self, id: &str, conversation: Option<&str>) -> Image<'_> {
        let mut body = json!({"workerId": id});
        if let Some(conversation) = conversation {
            body["conversationId"] = json!(conversation);
        }
        let register = self.http.post(format!("{}/v1/workers", self.url)).json(&body);
        let answer = register.bearer_auth(self.bundle.admin_key()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
        let env = &answer.json::<Value>().await.unwrap()["env"];
        let env_value = |name: &str| env[name].as_str().unwrap().to_owned();
        let image = Image {
            world: self,
            id: id.to_owned(),
            token: env_value("AGENT_FACTORY_WORKER_TOKEN"),
            base: env_value("CONVEX_URL"),
        };
        assert_eq!(image.base, self.base(&image.token));
        image
    }

    /// A caller that uses this worker id and this token.
    fn with_token(&self, id: &str, token: &str) -> Image<'_> {
        Image { world: self, id: id.to_owned(), token: token.to_owned(), base: self.base(token) }
    }

    fn base(&self, token: &str) -> String {
        format!("{}/w/{token}", self.url)
    }

    /// An image that owns the conversation, and a message that it has claimed.
    async fn image_at_work(&self, id: &str) -> (Image<'_>, Value) {
        self.enqueue(CONVERSATION, "telegram", "hello").await;
        let image = self.image(id, Some(CONVERSATION)).await;
        let job = image.claim().await;
        (image, job)
    }

    /// The history of the conversation, as role and content.
    async fn history(&self) -> Vec<(String, String)> {
        let key = af_store::conversation_key(&af_domain::ids::ConversationId::parse(CONVERSATION).unwrap());
        let budget = af_domain::context::ContextBudget::new(100, u64::MAX, u64::MAX);
        let history = self.app.store.history(&key, Default::default(), budget).await.unwrap();
        let entry = |e: af_domain::message::HistoryEntry| (e.role.as_str().to_owned(), e.content);
        history.newest_first.into_iter().rev().map(entry).collect()
    }

    fn now(&self) -> u64 {
        self.app.now().as_millis()
    }
}

impl Image<'_> {
    /// Sends a body to one of the three routes; returns status and body.
    async fn send(&self, kind: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/{kind}", self.base);
        let answer = self.world.http.post(url).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Calls a function as images do.
    async fn call(&self, function: &str, args: Value) -> (u16, Value) {
        let reads = ["State", "Bundle", "Queued", "Restore", "FileUrl", "Manifest"];
        let kind = if reads.iter().any(|read| function.ends_with(read)) { "query" } else { "mutation" };
        self.send(kind, &json!({"path": format!("agentFactory:{function}"), "args": args})).await
    }

    /// The value of a call that succeeds.
    #[track_caller]
    fn value(&self, function: &'static str, args: Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let (status, mut answer) = self.call(function, args).await;
            let value = answer["value"].take();
            let expected = json!({"status": "success", "value": null});
            assert_eq!((status, &answer), (200, &expected), "{function} at {caller}");
            value
        }
    }

    /// The value of a call that names this worker.
    #[track_caller]
    fn own(&self, function: &'static str, mut args: Value) -> impl Future<Output = Value> {
        args["workerId"] = json!(self.id);
        self.value(function, args)
    }

    /// The value of a call about a claimed message.
    #[track_caller]
    fn of(&self, job: &Value, function: &'static str, mut args: Value) -> impl Future<Output = Value> {
        args["messageId"] = job["messageId"].clone();
        args["leaseId"] = job["leaseId"].clone();
        self.own(function, args)
    }

    /// Claims a message of the image's conversation.
    async fn claim(&self) -> Value {
        let job = self.own("workerClaim", json!({"conversationId": CONVERSATION})).await;
        assert_eq!(job["conversationId"], CONVERSATION, "{job}");
        job
    }

    async fn append(&self, messages: Value) -> Value {
        let args = json!({"conversationId": CONVERSATION, "workspaceId": "default", "messages": messages});
        self.value("workerAppendConversationMessages", args).await
    }

    async fn prepare(&self, reason: &str) -> Value {
        let args = json!({
            "workspaceId": "default", "agentKey": "demo", "conversationId": CONVERSATION, "reason": reason,
        });
        self.own("workerPrepareSnapshotUpload", args).await
    }

    /// Posts a file to the URL of an earlier response; returns status and body.
    async fn post(&self, url: &Value, bytes: Vec<u8>) -> (u16, Value) {
        let request = self.world.http.post(url.as_str().unwrap()).body(bytes);
        let answer = request.header("content-type", "application/gzip").send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn finalize(&self, prepared: &Value, bytes: &[u8]) -> Value {
        let args = json!({
            "snapshotId": prepared["snapshotId"], "storageId": prepared["snapshotId"],
            "sha256": sha256(bytes), "sizeBytes": bytes.len(),
        });
        self.own("workerFinalizeSnapshotUpload", args).await
    }

    /// Prepares, uploads and finalizes a snapshot.
    async fn upload_snapshot(&self, reason: &str, bytes: &[u8]) -> Value {
        let prepared = self.prepare(reason).await;
        let posted = self.post(&prepared["uploadUrl"], bytes.to_vec()).await;
        assert_eq!(posted, (200, json!({"storageId": prepared["snapshotId"]})));
        assert_eq!(self.finalize(&prepared, bytes).await, true);
        prepared
    }

    /// The latest snapshot, as the next image of the conversation gets it.
    async fn latest_for_successor(&self, successor: &str) -> Value {
        self.world.enqueue(CONVERSATION, "telegram", "next").await;
        self.world.image(successor, Some(CONVERSATION)).await.latest().await
    }

    async fn latest(&self) -> Value {
        let args = json!({"workspaceId": "default", "agentKey": "demo", "conversationId": CONVERSATION});
        self.value("workerLatestSnapshotForRestore", args).await
    }

    /// Downloads the latest snapshot, as an image does before its first claim.
    async fn restore(&self) -> Value {
        let latest = self.latest().await;
        if !latest.is_null() {
            assert_eq!(self.fetch(&latest["downloadUrl"]).await.0, 200);
        }
        latest
    }

    /// A plain GET that follows redirections, as the image's shell does it.
    async fn fetch(&self, url: &Value) -> (u16, Vec<u8>) {
        let answer = self.world.http.get(url.as_str().unwrap()).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }
}

/// A client that follows no redirects.
fn without_redirects() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
}
