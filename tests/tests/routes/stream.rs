//! The stream of a conversation's events, over the local stack.

use std::time::Duration;

use af_domain::time::Millis;
use af_local::{Stack, StackOptions};
use af_runtime::virtual_clock::VirtualClock;
use futures::StreamExt;
use reqwest::{Client, Response};
use serde_json::{Value, json};

const TEMPLATE: &str = include_str!("../../../infra/template.yaml");
const STREAM: &str = "/v1/users/ann/agents/support/stream";
/// Far more than an event takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    stack: Stack,
    http: Client,
}

impl World {
    async fn new() -> Self {
        let clock = VirtualClock::running(Millis::default());
        let stack = Stack::start(StackOptions::in_memory(TEMPLATE.to_owned(), clock)).await.unwrap();
        let world = Self { stack, http: Client::builder().no_proxy().build().unwrap() };
        world.put("/v1/agents/support", json!({"version": "1"})).await;
        world.put("/v1/users/ann/binding", json!({"agentKey": "support"})).await;
        world
    }

    async fn put(&self, path: &str, body: Value) -> Value {
        let call = self.http.put(format!("{}{path}", self.stack.url)).bearer_auth(&self.stack.admin_key);
        call.json(&body).send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> Value {
        let call = self.http.post(format!("{}{path}", self.stack.url)).bearer_auth(key);
        call.json(&body).send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    async fn connect(&self, path: &str, last_id: Option<&str>) -> Response {
        let call = self.http.get(format!("{}{path}", self.stack.url)).bearer_auth(&self.stack.admin_key);
        let call = last_id.into_iter().fold(call, |call, id| call.header("last-event-id", id));
        call.send().await.unwrap()
    }

    async fn stream(&self, last_id: Option<&str>) -> Events {
        let answer = self.connect(STREAM, last_id).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Events { answer, text: String::new(), last_id: String::new() }
    }
}

/// The events of a stream.
struct Events {
    answer: Response,
    text: String,
    last_id: String,
}

impl Events {
    /// The next block of the stream, which ends with an empty line. `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("an event comes");
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The next event: its name and its data.
    async fn next(&mut self) -> (String, Value) {
        loop {
            let block = self.block().await.expect("the stream goes on");
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            if let Some(id) = field("id") {
                id.clone_into(&mut self.last_id);
            }
            if let Some(data) = field("data") {
                return (field("event").unwrap().to_owned(), serde_json::from_str(data).unwrap());
            }
        }
    }

    async fn expect(&mut self, name: &str, field: &str, value: &str) -> Value {
        let (event, data) = self.next().await;
        assert_eq!((event.as_str(), &data[field]), (name, &json!(value)), "{data}");
        data
    }
}

#[tokio::test(flavor = "multi_thread")]
pub async fn a_stream_shows_a_message_from_queued_to_done_and_goes_on_after_its_last_event() {
    let world = World::new().await;
    let key = world.stack.admin_key.clone();
    let mut events = world.stream(None).await;
    let sent = world.post("/v1/users/ann/agents/support/messages", &key, json!({"content": "hello"})).await;
    let queued = events.expect("status", "status", "queued").await;
    assert_eq!(queued["messageId"], sent["messageId"]);
    let made = world.post("/v1/workers", &key, json!({"workerId": "w"})).await;
    let token = made["token"].as_str().unwrap().to_owned();
    let polled = world.post("/v1/worker/poll", &token, json!({})).await;
    let job = &polled["job"];
    events.expect("status", "status", "processing").await;
    let lease = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
    let path = format!("/v1/worker/messages/{}", job["messageId"].as_str().unwrap());
    let mut beat = lease.clone();
    beat["progress"] = json!("It searches.");
    world.post(&format!("{path}/heartbeat"), &token, beat).await;
    events.expect("draft", "text", "It searches.").await;

    let last_id = events.last_id.clone();
    drop(events);
    let mut complete = lease;
    complete["reply"] = json!({"text": "hi there"});
    world.post(&format!("{path}/complete"), &token, complete).await;
    let mut events = world.stream(Some(&last_id)).await;
    let done = events.expect("status", "status", "done").await;
    assert_eq!(done["reply"], "hi there");

    world.stack.close().await;
    assert_eq!(events.block().await, None, "a stack that stops ends its streams");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_after_five_minutes() {
    let world = World::new().await;
    let mut events = world.stream(None).await;
    let first = events.block().await.unwrap();
    assert!(first.contains("id: ") && first.contains("retry: 1000"), "{first}");
    world.stack.advance(Millis::from_secs(300)).await;
    while let Some(block) = events.block().await {
        assert!(block.starts_with(':'), "only comments follow: {block}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_needs_a_key_and_a_conversation() {
    let world = World::new().await;
    let anonymous = world.http.get(format!("{}{STREAM}", world.stack.url)).send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    assert_eq!(anonymous.headers()["content-type"], "application/problem+json");
    let key = world.stack.admin_key.clone();
    let read = world.post("/v1/keys", &key, json!({"name": "r", "scopes": ["read"]})).await;
    let forbidden = world.http.get(format!("{}{STREAM}", world.stack.url));
    let forbidden = forbidden.bearer_auth(read["key"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(forbidden.status(), 403);
    assert_eq!(world.connect(&STREAM.replace("ann", "bob"), None).await.status(), 404);
    assert_eq!(world.connect(STREAM, Some("forged")).await.status(), 422);
    assert_eq!(world.connect(&format!("{STREAM}?since=1"), None).await.status(), 422);
    let parallel: Vec<_> = futures::stream::iter(0..20).then(|_| world.stream(None)).collect().await;
    assert_eq!(parallel.len(), 20, "streams do not wait for each other");
}
