//! The loopback rules of a running stack, and its end.

use af_local::{Stack, StackOptions};
use af_runtime::virtual_clock::VirtualClock;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

async fn stack() -> Stack {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let options = StackOptions::in_memory(template, VirtualClock::running(Default::default()));
    Stack::start(options).await.unwrap()
}

async fn send(stack: &Stack, method: Method, path: &str, key: &str, body: Value) -> Response {
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.request(method, format!("{}{path}", stack.url)).bearer_auth(key).json(&body);
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_closed_stack_accepts_nothing_new_and_still_answers_its_workers() {
    let stack = stack().await;
    let admin = stack.admin_key.clone();
    let agent = send(&stack, Method::PUT, "/v1/agents/a", &admin, json!({"version": "1"})).await;
    assert_eq!(agent.status(), 200);
    let payload = json!({"provider": "p", "providerUserId": "u", "messageText": "t"});
    let message = json!({"conversationId": "c", "agentKey": "a", "payload": payload});
    let accepted = send(&stack, Method::POST, "/v1/messages", &admin, message.clone()).await;
    assert_eq!(accepted.status(), 202);
    let worker = send(&stack, Method::POST, "/v1/workers", &admin, json!({"workerId": "w"})).await;
    let token = worker.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let polled = send(&stack, Method::POST, "/v1/worker/poll", &token, json!({})).await;
    let job = polled.json::<Value>().await.unwrap()["job"].clone();

    stack.close().await;
    let refused = send(&stack, Method::POST, "/v1/messages", &admin, message).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"30".parse().unwrap()));
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "unavailable", "{problem}");
    assert_eq!(send(&stack, Method::GET, "/v1/workers", &admin, json!({})).await.status(), 503);
    let path = format!("/v1/worker/messages/{}/complete", job["messageId"].as_str().unwrap());
    let lease = json!({"leaseId": job["leaseId"], "fence": job["fence"], "reply": {"text": "done"}});
    assert_eq!(send(&stack, Method::POST, &path, &token, lease).await.status(), 200, "the message ends");

    let url = stack.url.clone();
    stack.stop().await;
    assert!(Client::new().get(url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_foreign_host_is_refused_by_the_api_and_by_the_aws_endpoint() {
    let stack = stack().await;
    let client = Client::builder().no_proxy().build().unwrap();
    for url in [format!("{}/v1/agents", stack.url), format!("{}/a/b", stack.aws_url)] {
        let asked = client.get(&url).header("host", "rebound.example").bearer_auth(&stack.admin_key);
        assert_eq!(asked.send().await.unwrap().status(), 421, "{url}");
    }
    let own = client.get(format!("{}/v1/agents", stack.url)).bearer_auth(&stack.admin_key);
    assert_eq!(own.send().await.unwrap().status(), 200);
    stack.stop().await;
}
