//! Claims, and the responses to repeated claims.

use af_domain::policy::Policies;
use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::worker::{CONVERSATION, World};

#[tokio::test]
async fn a_claim_is_a_poll_without_control_and_bundle() {
    let world = World::new().await;
    let worker = world.worker("w").await;
    assert!(worker.claim(json!({})).await.is_null());
    let message = world.enqueue(CONVERSATION).await;
    let job = worker.claim(json!({})).await;
    assert_eq!((&job["messageId"], &job["attempt"]), (&json!(message), &json!(1)));
    assert_eq!(job["payload"]["messageText"], "hello");
    assert_eq!(
        worker.poll(json!({"conversationId": CONVERSATION})).await["job"],
        job,
        "a poll returns the same job"
    );
}

#[tokio::test]
async fn a_claim_of_a_waiting_worker_uses_the_current_policies() {
    let world = World::new().await;
    let worker = world.worker("w").await;
    assert!(worker.poll(json!({})).await["job"].is_null());
    world.api.put("/v1/config/policies", json!({"lease": {"leaseMs": 60_000}})).send().await.body_of(200);
    world.advance(Millis::from_secs(11));
    world.enqueue(CONVERSATION).await;
    let lease_millis = |job: &Value| job["leaseExpiresAt"].as_u64().unwrap() - world.app.now().as_millis();
    let job = worker.poll(json!({})).await["job"].clone();
    assert_eq!(lease_millis(&job), 60_000, "{job}");

    // The same for a worker that found no message first, and then claimed a conversation by its id.
    let other = world.worker("other").await;
    assert!(other.poll(json!({})).await["job"].is_null());
    world.enqueue("other").await;
    let job = other.claim(json!({"conversationId": "other"})).await;
    other.complete(&job, json!({})).await.body_of(200);
    world.api.put("/v1/config/policies", json!({"lease": {"leaseMs": 70_000}})).send().await.body_of(200);
    world.advance(Millis::from_secs(11));
    world.enqueue("other").await;
    let job = other.poll(json!({"conversationId": "other"})).await["job"].clone();
    assert_eq!(lease_millis(&job), 70_000, "{job}");
}

#[tokio::test]
async fn a_repeated_claim_returns_the_live_lease_three_times_and_then_nothing() {
    for (route, body) in
        [("claim", json!({})), ("claim", json!({"conversationId": CONVERSATION})), ("poll", json!({}))]
    {
        let world = World::new().await;
        let (worker, job) = world.busy_worker("w", CONVERSATION).await;
        world.enqueue(CONVERSATION).await;
        for repetition in 1..=3 {
            let again = worker.post(route, body.clone()).await.body_of(200)["job"].clone();
            assert_eq!(again, job, "{route}, repetition {repetition}: the same lease, attempt and fence");
        }
        let fourth = worker.post(route, body).await.body_of(200);
        assert!(fourth["job"].is_null(), "{route}: {fourth}");
        worker.complete(&job, json!({})).await.body_of(200);
        let next = worker.claim(json!({})).await;
        assert_eq!((&next["attempt"], &next["fence"]), (&json!(1), &json!(2)), "the lease was still valid");
    }
}

#[tokio::test]
async fn a_program_that_never_ends_is_seen_and_its_run_times_out_so_that_the_next_message_runs() {
    let world = World::new().await;
    let max_run = Policies::default().lease.max_run;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    world.advance(Millis::from_secs(1));
    let next = world.enqueue(CONVERSATION).await;
    let heartbeat = async || {
        let path = format!("messages/{}/heartbeat", job["messageId"].as_str().unwrap());
        worker.post(&path, json!({"leaseId": job["leaseId"], "fence": job["fence"]})).await.body_of(200)
    };
    let step = Millis::from_secs(60);
    let steps = max_run.as_millis() / step.as_millis();
    for n in 1..steps {
        world.advance(step);
        assert_eq!(heartbeat().await["held"], true, "minute {n}");
    }
    let report = world.reconcile().await;
    let warned = report.warnings.iter().any(|warning| warning.contains("has waited for"));
    assert!(warned, "{:?}", report.warnings);
    let stats = world.api.get("/v1/queue/stats").send().await.body_of(200);
    let waited = step.as_millis() * (steps - 1);
    assert!(stats["oldestWaitingAgeMs"].as_u64().unwrap() >= waited, "{stats}");

    world.advance(step);
    assert_eq!(heartbeat().await["held"], false);
    let ended = world.message(&job["messageId"]).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("dead_letter"), &json!(1)));
    assert!(ended["lastError"].as_str().unwrap().starts_with("run_timeout"), "{ended}");
    let second = worker.poll(json!({"conversationId": CONVERSATION})).await["job"].clone();
    assert_eq!(second["messageId"], json!(next));
}

#[tokio::test]
async fn a_claim_with_a_conversation_id_gets_a_message_of_that_conversation_or_nothing() {
    let world = World::new().await;
    let other = world.enqueue("other").await;
    let (pinned, free) = (world.worker("pinned").await, world.worker("free").await);
    let named = json!({"conversationId": CONVERSATION});
    assert!(pinned.claim(named.clone()).await.is_null(), "no such conversation exists");
    let message = world.enqueue(CONVERSATION).await;
    let job = pinned.claim(named.clone()).await;
    assert_eq!((&job["messageId"], &job["conversationId"]), (&json!(message), &json!(CONVERSATION)));
    pinned.complete(&job, json!({})).await.body_of(200);
    assert!(pinned.claim(named.clone()).await.is_null(), "the conversation has no waiting message");
    assert!(
        pinned.claim(json!({"conversationId": "other"})).await.is_null(),
        "the worker owns another conversation"
    );

    world.enqueue(CONVERSATION).await;
    assert!(free.claim(named.clone()).await.is_null(), "another worker owns the conversation");
    assert_eq!(free.claim(json!({})).await["messageId"], other.as_str());
    assert!(!pinned.claim(named).await.is_null());
}

#[tokio::test]
async fn a_message_that_waits_for_its_retry_counts_as_queued() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let id = |text: &str| af_domain::ids::ConversationId::parse(text).unwrap();
    let w = af_domain::ids::WorkerId::parse("w").unwrap();
    let queued = async |conversation: &str| {
        let asked = af_app::worker::has_work_soon(&world.app, &w, &id(conversation)).await;
        asked.map_err(|refused| refused.to_string())
    };
    assert_eq!(queued(CONVERSATION).await, Ok(false), "only the running message is there");
    let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "no"});
    worker.post(&format!("messages/{}/fail", job["messageId"].as_str().unwrap()), body).await.body_of(200);
    assert!(worker.claim(json!({})).await.is_null(), "the retry is not due");
    assert_eq!(queued(CONVERSATION).await, Ok(true));
    world.enqueue("foreign").await;
    let foreign = queued("foreign").await.unwrap_err();
    assert_eq!(foreign, "there is no conversation foreign of this worker");
    assert_eq!(queued("unknown").await.unwrap_err(), foreign.replace("foreign", "unknown"));
}

#[tokio::test]
async fn control_returns_the_control_state_of_a_poll_and_claims_nothing() {
    let world = World::new().await;
    world.enqueue(CONVERSATION).await;
    let worker = world.worker("w").await;
    let control = worker.get("control").await.body_of(200);
    assert_eq!(control["control"], json!({"shouldStop": false, "reasons": [], "switch": false}));
    assert!(control["nextPollMs"].is_u64());
    assert!(!worker.claim(json!({})).await.is_null(), "the message still waits");
    for path in ["control", "control?conversationId=talk", "control?conversationId=foreign"] {
        assert_eq!(worker.get(path).await.body_of(200)["control"]["shouldStop"], false, "{path}");
    }
}

#[tokio::test]
async fn a_concurrent_append_with_the_same_ordinal_is_not_taken_for_a_repetition() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let append = async |ordinal: usize, texts: &[&str]| {
        let messages: Vec<_> = texts.iter().map(|text| json!({"role": "tool", "content": text})).collect();
        let calls = json!([{"toolName": texts[0], "callId": "1", "status": "open"}]);
        let body = json!({
            "leaseId": job["leaseId"], "fence": job["fence"], "ordinal": ordinal, "messages": messages,
            "pendingToolCalls": calls,
        });
        worker.post("conversations/talk/history", body).await
    };
    append(0, &["fast"]).await.body_of(200);
    let slow = append(0, &["slow"]).await;
    assert_eq!((slow.problem(), slow.pointer()), ((409, "out_of_order"), "/ordinal"));
    assert_eq!(
        append(0, &["fast"]).await.body_of(200),
        json!({"appended": 1}),
        "a repetition gets the same response"
    );
    append(1, &["slow", "slower"]).await.body_of(200);
    append(1, &["slow", "slower"]).await.body_of(200);
    assert_eq!(append(1, &["slow", "slow"]).await.problem(), (409, "out_of_order"));
    let path = format!("messages/{}/bundle", job["messageId"].as_str().unwrap());
    let state = worker.get(&path).await.body_of(200)["conversationState"].clone();
    let contents: Vec<_> =
        state["contextHistory"].as_array().unwrap().iter().map(|e| &e["content"]).collect();
    assert_eq!(contents, ["fast", "slow", "slower"]);
    assert_eq!(state["pendingToolCalls"][0]["toolName"], "slow");
}
