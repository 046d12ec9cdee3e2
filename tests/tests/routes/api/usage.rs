//! The figures of a user with an agent.

use serde_json::{Value, json};

use crate::api::World;

const CONVERSATION: &str = "user-agent:support:ann";

async fn figures(world: &World) -> [Value; 3] {
    let shown = world.api.get("/v1/users/ann/agents/support/usage").send().await.body_of(200);
    ["contextMessages", "queuedMessages", "failedMessages"].map(|field| shown[field].clone())
}

async fn append(world: &World, token: &str, job: &Value, count: usize) {
    let lease =
        json!({"leaseId": job["leaseId"], "fence": job["fence"], "ordinal": 0, "messages": entries(count)});
    let path = "/v1/worker/conversations/user-agent%3Asupport%3Aann/history";
    world.api.post(path, lease).key(token).send().await.body_of(200);
}

fn entries(count: usize) -> Value {
    (0..count).map(|n| json!({"role": "assistant", "content": "x", "at": n})).collect()
}

#[tokio::test]
async fn the_figures_of_an_unknown_user_are_zero() {
    let world = World::new().await;
    let shown = world.api.get("/v1/users/ann/agents/support/usage").send().await.body_of(200);
    let zero = json!({
        "totalPushJobs": 0, "activePushJobs": 0, "totalDispatches": 0, "contextMessages": 0, "queuedMessages": 0,
        "failedMessages": 0,
        "recent": {
            "messages": 0, "failed": 0, "delivered": 0, "attempts": 0, "unpricedAttempts": 0, "inputTokens": 0,
            "cachedInputTokens": 0, "outputTokens": 0, "costMicros": 0, "runMs": 0,
        },
    });
    assert_eq!(shown, zero);
}

#[tokio::test]
async fn the_figures_follow_the_messages_and_the_history_of_a_user() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let token = world.worker("w").await;
    for n in 0..4 {
        world.say("ann", &format!("question {n}")).await;
    }
    assert_eq!(figures(&world).await, [0, 4, 0]);
    let poll = async || world.poll(&token, json!({"conversationId": CONVERSATION})).await["job"].clone();
    let job = world.poll(&token, json!({})).await["job"].clone();
    assert_eq!(figures(&world).await, [0, 3, 0], "one message runs");
    append(&world, &token, &job, 2).await;
    append(&world, &token, &job, 2).await;
    assert_eq!(figures(&world).await, [2, 3, 0], "a repeated append counts once");
    world.on_job(&token, &job, "complete", json!({"history": entries(1), "reply": {"text": "hi"}})).await;
    assert_eq!(figures(&world).await, [3, 3, 0]);

    let job = poll().await;
    append(&world, &token, &job, 3).await;
    world.on_job(&token, &job, "fail", json!({"errorMessage": "no", "retryable": true})).await;
    assert_eq!(figures(&world).await, [3, 3, 0], "the attempt is repeated");
    let failing = job["messageId"].as_str().unwrap().to_owned();
    world.advance(af_domain::time::Millis::from_secs(60));
    let job = poll().await;
    assert_eq!(job["messageId"], failing.as_str());
    world.on_job(&token, &job, "fail", json!({"errorMessage": "no", "retryable": false})).await;
    world.dead_letter_one(&token, Some(CONVERSATION)).await;
    assert_eq!(figures(&world).await, [3, 1, 2]);

    let retry = world.api.post(&format!("/v1/queue/{failing}/retry"), json!({})).send().await;
    assert!(retry.status.is_success(), "{}", retry.body);
    assert_eq!(figures(&world).await, [3, 2, 1]);
    let dead =
        world.api.get("/v1/users/ann/agents/support/queue?status=dead_letter").send().await.body_of(200);
    let dead = dead["items"][0]["messageId"].as_str().unwrap();
    world.api.delete(&format!("/v1/users/ann/messages/{dead}")).send().await.body_of(200);
    assert_eq!(figures(&world).await, [3, 2, 0]);
}
