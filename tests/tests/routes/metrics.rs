//! The metrics of a deployment in use, in the local stack: its streams, schedules and functions run as on AWS.

use std::time::Duration;

use af_domain::time::{Millis, Timestamp};
use af_local::{Stack, StackOptions};
use af_runtime::metric::Metric;
use af_runtime::virtual_clock::VirtualClock;
use af_tests::metrics::RecordedMetrics;
use reqwest::Method;
use serde_json::{Value, json};

const TEMPLATE: &str = include_str!("../../../infra/template.yaml");
/// The time between two runs of the schedules.
const MINUTE: Millis = Millis::from_secs(60);
/// The time for the stream. A batch that fails is tried for longer.
const STREAM_LIMIT: Duration = Duration::from_secs(20);
const TABLE: &str = "agent-factory-Table";

struct World {
    stack: Stack,
    http: reqwest::Client,
}

impl World {
    async fn new() -> Self {
        let clock = VirtualClock::frozen_at(Timestamp::from_millis(1_800_000_000_000));
        let stack = Stack::start(StackOptions::in_memory(TEMPLATE.to_owned(), clock)).await.unwrap();
        let world = Self { stack, http: reqwest::Client::builder().no_proxy().build().unwrap() };
        world.call(Method::PUT, "/v1/agents/a", json!({"version": "1"})).await;
        world
    }

    async fn send(&self, method: Method, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.stack.url);
        let answer = self.http.request(method, url).bearer_auth(key).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// A call of an operator, which succeeds.
    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, &self.stack.admin_key, &body).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    async fn enqueue(&self, conversation: &str) {
        let payload = json!({"provider": "p", "providerUserId": "u", "messageText": "a text of a person"});
        let message = json!({"conversationId": conversation, "agentKey": "a", "payload": payload});
        self.call(Method::POST, "/v1/messages", message).await;
    }

    /// Registers a worker and returns its token.
    async fn worker(&self, id: &str) -> String {
        let worker = self.call(Method::POST, "/v1/workers", json!({"workerId": id})).await;
        worker["token"].as_str().unwrap().to_owned()
    }

    /// A call of a worker, which succeeds.
    async fn work(&self, token: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(Method::POST, &format!("/v1/worker/{path}"), token, &body).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// Claims a message and ends its attempt: `how` is `complete` or `fail`.
    async fn run(&self, token: &str, how: &str) {
        let job = self.work(token, "claim", json!({})).await["job"].take();
        let path = format!("messages/{}/{how}", job["messageId"].as_str().expect("a message is claimed"));
        let mut body = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
        if how == "fail" {
            body["errorMessage"] = "it failed".into();
        }
        self.work(token, &path, body).await;
    }

    /// Stores an item that no code of this project writes.
    async fn write_raw(&self, pk: &str, attributes: Value) {
        let mut item = json!({"pk": {"S": pk}, "sk": {"S": "#"}});
        item.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        let request = json!({"TableName": TABLE, "Item": item});
        let written = self.stack.aws.engine().call("PutItem", request).await;
        assert_eq!(written.status, 200, "{}", written.body);
    }

    /// Lets a minute pass. The schedules then find what the stream has counted before.
    async fn minute(&self) {
        self.settled().await;
        self.stack.advance(MINUTE).await;
    }

    async fn settled(&self) {
        tokio::time::timeout(STREAM_LIMIT, self.stack.settled()).await.expect("the stream is not blocked");
    }
}

#[tokio::test]
pub async fn the_life_of_messages_records_its_metrics() {
    let metrics = RecordedMetrics::begin();
    let world = World::new().await;
    world.enqueue("c").await;
    world.minute().await;
    assert_eq!(metrics.of(Metric::MessageEnqueued), [1]);
    assert_eq!(metrics.of(Metric::MessagesReady).last(), Some(&1));
    assert_eq!(metrics.of(Metric::OldestWaitingAge).last(), Some(&MINUTE.as_millis()));

    let token = world.worker("one").await;
    world.run(&token, "complete").await;
    world.minute().await;
    assert_eq!(metrics.of(Metric::MessageDone), [1]);
    assert_eq!(metrics.of(Metric::ClaimWait), [MINUTE.as_millis()]);
    assert_eq!(metrics.of(Metric::ProcessingTime), [0]);
    assert_eq!(metrics.of(Metric::WorkersActive).last(), Some(&1));
    assert_eq!(metrics.of(Metric::MessagesReady).last(), Some(&0));

    let policies = json!({"retry": {"maxAttempts": 2}});
    world.call(Method::PUT, "/v1/config/policies", policies).await;
    world.enqueue("d").await;
    let token = world.worker("two").await;
    world.run(&token, "fail").await;
    world.settled().await;
    assert_eq!(
        (metrics.of(Metric::AttemptFailed), metrics.of(Metric::MessageDeadLettered)),
        (vec![1], vec![])
    );
    world.minute().await;
    world.run(&token, "fail").await;
    world.minute().await;
    assert_eq!(metrics.of(Metric::MessageDeadLettered), [1], "the metric of DeadLetterAlarm");
    assert_eq!(metrics.of(Metric::DeadLetters).last(), Some(&1));

    let (status, _) = world.send(Method::GET, "/v1/workers", "afk_unknown_x", &Value::Null).await;
    assert_eq!((status, metrics.of(Metric::AuthRejected)), (401, vec![1]));
    let url = format!("{}/agent-factory/telegram/webhook/7", world.stack.url);
    let refused = world.http.post(url).json(&json!({"update_id": 1})).send().await.unwrap();
    assert!(refused.status().is_client_error(), "{}", refused.status());
    assert_eq!(metrics.of(Metric::WebhookRejected), [1]);
    world.stack.stop().await;
}

#[tokio::test]
async fn items_that_cannot_be_read_do_not_block_the_stream() {
    let metrics = RecordedMetrics::begin();
    let world = World::new().await;
    world.settled().await;
    // One for each filter of the mappings.
    let number = json!({"N": "1"});
    world.write_raw("C#poison", json!({"rp": {"S": "READY#0"}, "rk": {"S": "?"}, "q": number})).await;
    for pk in ["DL#poison", "MB#poison", "O#poison", "M#tg:poison", "M#poison"] {
        world.write_raw(pk, json!({"fb": {"S": "?"}, "st": number, "at": {"S": "?"}})).await;
        world.write_raw(pk, json!({"fb": {"S": "?"}, "st": {"S": "?"}, "at": number})).await;
    }
    world.enqueue("c").await;
    world.settled().await;
    let stats = world.call(Method::GET, "/v1/queue/stats", Value::Null).await;
    assert_eq!(stats["queuedReady"], 1, "the record behind the others is counted: {stats}");
    world.minute().await;
    assert_eq!(metrics.of(Metric::MessagesReady).last(), Some(&1), "{:?}", metrics.all());
    world.stack.stop().await;
}
