//! Calls with half an emoji: `JSON.stringify` writes it as a lone surrogate, which serde_json refuses.

use serde_json::{Value, json};

use crate::{CONVERSATION, Image, World};

/// Calls a function with raw JSON, which no `Value` can hold.
async fn raw(image: &Image<'_>, function: &str, args: &str) -> Value {
    let body = format!(r#"{{"path": "agentFactory:{function}", "args": {args}, "trace": "\udc00"}}"#);
    let call = image.world.http.post(format!("{}/api/mutation", image.base)).body(body);
    let answer = call.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_lone_surrogate_costs_no_append_and_no_completion_and_becomes_the_replacement_character() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    let lease =
        format!(r#""workerId": "w", "messageId": {}, "leaseId": {}"#, job["messageId"], job["leaseId"]);
    let entries = format!(
        r#"{{"conversationId": "{CONVERSATION}", "messages": [
            {{"role": "user", "content": "hello", "odd": "\ud83d"}}, {{"role": "assistant", "content": "x \ud83d", "at": 1}}]}}"#
    );
    assert_eq!(raw(&image, "workerAppendConversationMessages", &entries).await["value"]["updated"], true);
    let metadata = format!(r#"{{"messageId": {}, "metadata": {{"a": "x \ud83d"}}}}"#, job["messageId"]);
    assert_eq!(raw(&image, "workerAttachMessageMetadata", &metadata).await["value"], true);
    assert_eq!(
        raw(&image, "workerComplete", &format!(r#"{{{lease}, "odd": "\ud83d"}}"#)).await["value"],
        true
    );
    let message = world.message(&job["messageId"]).await;
    assert_eq!((&message["status"], &message["reply"]), (&json!("done"), &json!("x \u{fffd}")));
    assert_eq!(message["payload"]["metadata"]["a"], "x \u{fffd}");
    assert_eq!(world.history().await[1], ("assistant".to_owned(), "x \u{fffd}".to_owned()));
}

#[tokio::test]
async fn a_worker_fail_with_a_lone_surrogate_is_requeued_with_its_last_error() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    let args = format!(
        r#"{{"workerId": "w", "messageId": {}, "leaseId": {}, "errorMessage": "x \ud83d"}}"#,
        job["messageId"], job["leaseId"]
    );
    assert_eq!(raw(&image, "workerFail", &args).await["value"]["requeued"], true);
    assert_eq!(world.message(&job["messageId"]).await["lastError"], "x \u{fffd}");
}

#[tokio::test]
async fn a_metadata_error_of_the_compatible_contract_names_its_field() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    for (metadata, expected) in [
        (json!({"tokens": 12}), "metadata/tokens: must be a string"),
        (json!(["tokens"]), "metadata: must be an object"),
        (json!({"k": "v".repeat(1_001)}), "metadata/k: a value in metadata may have at most 1000 characters"),
    ] {
        let args = json!({"messageId": job["messageId"], "metadata": metadata});
        let (_, answer) = image.call("workerAttachMessageMetadata", args).await;
        assert_eq!(answer["errorMessage"], expected);
    }
}
