//! The usage that workers report with the end of an attempt.

use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::worker::{CONVERSATION, World};

async fn shown(world: &World, message: &Value) -> Value {
    let path = format!("/v1/messages/{}", message.as_str().unwrap());
    world.api.get(&path).send().await.body_of(200)
}

#[tokio::test]
async fn each_attempt_keeps_its_usage_and_the_message_shows_the_sum() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let path = format!("messages/{}/fail", job["messageId"].as_str().unwrap());
    let first = json!({"model": "small-1", "inputTokens": 100, "outputTokens": 5, "costMicros": 7});
    let failure = json!({
        "leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "cut off | by, the model", "usage": first,
    });
    worker.post(&path, failure).await.body_of(200);
    world.advance(Millis::from_secs(60));
    let job = worker.claim(json!({"conversationId": CONVERSATION})).await;
    let second = json!({
        "model": "org/large:2", "provider": "openrouter", "inputTokens": 30, "outputTokens": 3, "cachedInputTokens": 20,
        "costMicros": 11, "turns": 2, "toolCalls": 4,
    });
    let body = json!({"reply": {"text": "hi"}, "usage": second});
    worker.complete(&job, body.clone()).await.body_of(200);
    worker.complete(&job, body).await.body_of(200);

    let message = shown(&world, &job["messageId"]).await;
    assert_eq!(message["attemptLog"][0]["usage"], first);
    assert_eq!(message["attemptLog"][0]["error"], "cut off | by, the model");
    assert_eq!(message["attemptLog"][1]["usage"], second);
    let sum = json!({
        "model": "org/large:2", "provider": "openrouter", "inputTokens": 130, "outputTokens": 8, "costMicros": 18,
    });
    assert_eq!(message["usage"], sum, "a figure that one attempt does not know is unknown");
}

#[tokio::test]
async fn usage_out_of_range_is_refused_by_its_field_and_the_lease_stays_in_force() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let fits = json!({"inputTokens": 1, "outputTokens": 1});
    for (field, value) in [
        ("inputTokens", json!(1_000_000_000_001_u64)),
        ("outputTokens", json!(-1)),
        ("cachedInputTokens", json!(2)),
        ("costMicros", json!(1.5)),
        ("model", json!("two words")),
        ("provider", json!("")),
        ("price", json!(1)),
    ] {
        let mut usage = fits.clone();
        usage[field] = value;
        let refused = worker.complete(&job, json!({"usage": usage})).await.body_of(422);
        assert_eq!(refused["errors"][0]["pointer"], format!("/usage/{field}"), "{refused}");
    }
    worker.complete(&job, json!({"usage": fits})).await.body_of(200);
    assert_eq!(shown(&world, &job["messageId"]).await["usage"], fits);
}
