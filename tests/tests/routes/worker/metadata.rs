//! Metadata that a worker adds to its message.

use serde_json::{Value, json};

use crate::worker::{CONVERSATION, TestWorker, World};

async fn attach(worker: &TestWorker<'_>, job: &Value, metadata: Value) -> af_tests::calls::Answer {
    let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "metadata": metadata});
    worker.post(&format!("messages/{}/metadata", job["messageId"].as_str().unwrap()), body).await
}

async fn shown(world: &World, job: &Value) -> Value {
    world.message(&job["messageId"]).await["payload"]["metadata"].clone()
}

#[tokio::test]
async fn metadata_is_merged_and_survives_the_completion() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    for metadata in [json!({"model": "m-1", "odd name.#:": "x"}), json!({"model": "m-2"}), json!({})] {
        let attached = attach(&worker, &job, metadata).await.body_of(200);
        assert_eq!(attached, json!({"attached": true}));
    }
    let expected = json!({"providerUserId": "ann", "model": "m-2", "odd name.#:": "x"});
    assert_eq!(shown(&world, &job).await, expected);
    worker.complete(&job, json!({"metadata": {"tokens": "12"}})).await.body_of(200);
    let expected = json!({"providerUserId": "ann", "model": "m-2", "odd name.#:": "x", "tokens": "12"});
    assert_eq!(shown(&world, &job).await, expected);
}

#[tokio::test]
async fn metadata_without_a_live_lease_is_refused() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let other = world.worker("other").await;
    let refused = attach(&other, &job, json!({"a": "b"})).await;
    assert_eq!(refused.problem(), (409, "stale_lease"), "another worker holds the lease");
    worker.complete(&job, json!({})).await.body_of(200);
    assert_eq!(attach(&worker, &job, json!({"a": "b"})).await.problem(), (409, "stale_lease"));
    assert_eq!(shown(&world, &job).await, json!({"providerUserId": "ann"}));
}

#[tokio::test]
async fn too_much_metadata_is_refused_also_over_several_calls() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let many = |from: usize, to: usize| -> Value {
        (from..to).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
    };
    attach(&worker, &job, many(0, 50)).await.body_of(200);
    for (metadata, pointer) in [
        (many(50, 51), "/metadata"),
        (many(0, 51), "/metadata"),
        (json!({"": "v"}), "/metadata"),
        (json!({"k0": "v".repeat(1_001)}), "/metadata/k0"),
        (json!({"k0": "v", "k1": 1}), "/metadata/k1"),
    ] {
        let refused = attach(&worker, &job, metadata).await;
        assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), pointer));
    }
    attach(&worker, &job, json!({"k0": "w"})).await.body_of(200);
    assert_eq!(shown(&world, &job).await["k0"], "w");
}

#[tokio::test]
async fn metadata_over_the_limits_does_not_cost_the_completion() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let mut metadata: serde_json::Map<_, _> = (100..160).map(|n| (format!("k{n}"), json!("v"))).collect();
    metadata.extend([("a".to_owned(), json!("ü".repeat(1_001))), (String::new(), json!("no name"))]);
    worker.complete(&job, json!({"metadata": metadata, "reply": {"text": "done"}})).await.body_of(200);
    let message = world.message(&job["messageId"]).await;
    assert_eq!((&message["status"], &message["reply"]), (&json!("done"), &json!("done")));
    let kept = &message["payload"]["metadata"];
    assert_eq!((&kept["metadataCut"], &kept["a"]), (&json!("true"), &json!("ü".repeat(1_000))));
    assert_eq!((&kept["k147"], &kept["k148"]), (&json!("v"), &Value::Null), "fifty entries are kept");
}
