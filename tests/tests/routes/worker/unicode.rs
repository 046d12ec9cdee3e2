//! Worker calls with half an emoji.

use serde_json::{Value, json};

use crate::worker::{CONVERSATION, TestWorker, World};

/// Sends the fields of a lease and `more`, which is raw JSON.
async fn raw(worker: &TestWorker<'_>, job: &Value, path: &str, more: &str) -> Value {
    let body = format!(r#"{{"leaseId": {}, "fence": {}, {more}}}"#, job["leaseId"], job["fence"]);
    let call = worker.world.api.post(&format!("/v1/worker/{path}"), json!(null));
    call.text(&body).key(&worker.token).send().await.body_of(200)
}

#[tokio::test]
async fn a_lone_surrogate_costs_no_worker_call_and_becomes_the_replacement_character() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let message = format!("messages/{}", job["messageId"].as_str().unwrap());
    raw(&worker, &job, &format!("{message}/heartbeat"), r#""progress": "x \ud83d""#).await;
    assert_eq!(world.message(&job["messageId"]).await["progress"], "x \u{fffd}");
    raw(&worker, &job, &format!("{message}/metadata"), r#""metadata": {"a": "x \ud83d"}"#).await;
    let append = r#""ordinal": 0, "messages": [{"role": "user", "content": "x \ud83d"}]"#;
    raw(&worker, &job, &format!("conversations/{CONVERSATION}/history"), append).await;
    raw(&worker, &job, &format!("{message}/complete"), r#""reply": {"text": "x \ud83d"}"#).await;
    let done = world.message(&job["messageId"]).await;
    assert_eq!(
        (&done["reply"], &done["payload"]["metadata"]["a"]),
        (&json!("x \u{fffd}"), &json!("x \u{fffd}"))
    );

    world.enqueue(CONVERSATION).await;
    let job = worker.claim(json!({})).await;
    let failed = format!("messages/{}/fail", job["messageId"].as_str().unwrap());
    assert_eq!(raw(&worker, &job, &failed, r#""errorMessage": "x \ud83d""#).await["requeued"], true);
    assert_eq!(world.message(&job["messageId"]).await["lastError"], "x \u{fffd}");
}
