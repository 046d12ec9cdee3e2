//! The local stack runs the template: a part that is removed from the template is also missing in the stack.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use af_domain::time::{Millis, Timestamp};
use af_local::{Stack, StackOptions};
use af_runtime::virtual_clock::VirtualClock;
use serde_json::{Value, json};

const TEMPLATE: &str = include_str!("../../../infra/template.yaml");

async fn stack(template: String) -> Stack {
    let options =
        StackOptions::in_memory(template, VirtualClock::frozen_at(Timestamp::from_millis(1_800_000_000_000)));
    Stack::start(options).await.unwrap()
}

/// The template without these parts. A part extends from the line with this prefix to the next line that is not
/// indented deeper.
fn without(parts: &[&str]) -> String {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let mut text = TEMPLATE.to_owned();
    for part in parts {
        let mut removing = None;
        let mut kept = String::new();
        for line in text.lines() {
            if removing.is_some_and(|depth| !line.trim().is_empty() && indentation(line) <= depth) {
                removing = None;
            }
            if line.trim_start().starts_with(part) {
                removing = Some(indentation(line));
            }
            if removing.is_none() {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        assert_ne!(kept, text, "no line of the template begins with {part:?}");
        text = kept;
    }
    text
}

async fn get(stack: &Stack, path: &str) -> (u16, Value) {
    let request = reqwest::Client::new().get(format!("{}{path}", stack.url)).bearer_auth(&stack.admin_key);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn indexes(stack: &Stack) -> Vec<String> {
    let call =
        |operation: &'static str, body: Value| async move { stack.aws.engine().call(operation, body).await };
    let tables = call("ListTables", json!({})).await.body;
    let table = tables["TableNames"][0].clone();
    let described = call("DescribeTable", json!({"TableName": table})).await.body;
    let indexes = described["Table"]["GlobalSecondaryIndexes"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> =
        indexes.iter().map(|i| i["IndexName"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The time of the last reconcile, from its report.
async fn last_run(stack: &Stack) -> Value {
    get(stack, "/v1/workers").await.1["lastReconcile"]["at"].clone()
}

#[tokio::test]
async fn a_route_that_is_not_in_the_template_does_not_exist() {
    let whole = stack(TEMPLATE.to_owned()).await;
    assert_eq!(get(&whole, "/v1/queue/stats").await.0, 200);
    let cut = stack(without(&["/v1/queue/stats:"])).await;
    assert_eq!(get(&cut, "/v1/queue/stats").await, (404, json!({"message": "Not Found"})));
    assert_eq!(get(&cut, "/v1/workers").await.0, 200, "the other routes stay");
}

#[tokio::test]
async fn a_schedule_that_is_not_in_the_template_never_fires() {
    let minute = Millis::from_secs(61);
    let whole = stack(TEMPLATE.to_owned()).await;
    whole.advance(minute).await;
    assert!(last_run(&whole).await.is_u64(), "the schedule ran reconcile");
    let cut = stack(without(&["Tick:"])).await;
    cut.advance(minute).await;
    assert!(last_run(&cut).await.is_null(), "no schedule ran reconcile");
}

#[tokio::test]
async fn an_index_that_is_not_in_the_template_is_not_in_the_table() {
    let whole = stack(TEMPLATE.to_owned()).await;
    assert_eq!(indexes(&whole).await, ["conversation-messages", "expiry", "ready"]);
    let cut = stack(without(&[
        "- IndexName: conversation-messages",
        "- {AttributeName: lp",
        "- {AttributeName: lk",
    ]))
    .await;
    assert_eq!(indexes(&cut).await, ["expiry", "ready"]);
}

#[tokio::test]
async fn a_stream_mapping_that_is_not_in_the_template_delivers_nothing() {
    let enqueue = async |stack: &Stack| {
        let request = |method: reqwest::Method, path: &str, body: Value| {
            let request = reqwest::Client::new().request(method, format!("{}{path}", stack.url));
            request.bearer_auth(&stack.admin_key).json(&body).send()
        };
        request(reqwest::Method::PUT, "/v1/agents/a", json!({"version": "1"})).await.unwrap();
        let payload = json!({"provider": "p", "providerUserId": "u", "messageText": "t"});
        let message = json!({"conversationId": "c", "agentKey": "a", "payload": payload});
        let accepted = request(reqwest::Method::POST, "/v1/messages", message).await.unwrap();
        assert_eq!(accepted.status().as_u16(), 202);
        stack.settled().await;
        get(stack, "/v1/queue/stats").await.1["queuedReady"].clone()
    };
    let whole = stack(TEMPLATE.to_owned()).await;
    assert_eq!(enqueue(&whole).await, 1);
    assert!(last_run(&whole).await.is_u64(), "the stream ran reconcile");
    let cut = stack(without(&["Committed:"])).await;
    assert_eq!(enqueue(&cut).await, 0);
}

/// The item of a message's payload, if it exists.
async fn payload(stack: &Stack) -> Option<Value> {
    let tables = stack.aws.engine().call("ListTables", json!({})).await.body;
    let request = json!({
        "TableName": tables["TableNames"][0], "FilterExpression": "begins_with(sk, :payload)",
        "ExpressionAttributeValues": {":payload": {"S": "P#"}},
    });
    stack.aws.engine().call("Scan", request).await.body["Items"].as_array().unwrap().first().cloned()
}

#[tokio::test]
async fn a_large_payload_expires_together_with_its_message() {
    let stack = stack(TEMPLATE.to_owned()).await;
    let call = async |method: reqwest::Method, path: &str, key: &str, body: Value| -> Value {
        let request = reqwest::Client::new().request(method, format!("{}{path}", stack.url));
        let answer = request.bearer_auth(key).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    };
    let admin = &stack.admin_key;
    call(reqwest::Method::PUT, "/v1/agents/a", admin, json!({"version": "1"})).await;
    let payload_body = json!({"provider": "p", "providerUserId": "u", "messageText": "t".repeat(100_000)});
    let message = json!({"conversationId": "c", "agentKey": "a", "payload": payload_body});
    let id = call(reqwest::Method::POST, "/v1/messages", admin, message).await["messageId"].clone();
    let token =
        call(reqwest::Method::POST, "/v1/workers", admin, json!({"workerId": "w"})).await["token"].clone();
    let token = token.as_str().unwrap();
    stack.settled().await;
    assert!(payload(&stack).await.unwrap()["ttl"].is_null(), "the message waits");
    let job = call(reqwest::Method::POST, "/v1/worker/poll", token, json!({})).await["job"].clone();
    assert_eq!(job["payload"]["messageText"].as_str().unwrap().len(), 100_000);
    let path = format!("/v1/worker/messages/{}/complete", id.as_str().unwrap());
    call(reqwest::Method::POST, &path, token, json!({"leaseId": job["leaseId"], "fence": job["fence"]}))
        .await;
    stack.settled().await;

    let kept = Millis::from_days(30).as_millis();
    let ttl = payload(&stack).await.unwrap()["ttl"]["N"].as_str().unwrap().to_owned();
    assert_eq!(ttl, ((1_800_000_000_000 + kept) / 1_000).to_string());
    assert_eq!(stack.aws.engine().sweep_ttl().await.unwrap(), 0);
    let path = format!("/v1/messages/{}", id.as_str().unwrap());
    let shown = get(&stack, &path).await.1["payload"]["messageText"].clone();
    assert_eq!(shown.as_str().unwrap().len(), 100_000, "the payload is kept as long as its message");
    stack.advance(Millis::from_days(30)).await;
    assert_eq!(get(&stack, &path).await.0, 404);
    // The engine deletes an item one second after its expiry.
    stack.advance(Millis::from_secs(1)).await;
    stack.aws.engine().sweep_ttl().await.unwrap();
    assert!(payload(&stack).await.is_none());
}
