//! Claims, and what a claim that comes again is answered.

use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::worker::{TALK, World};

#[tokio::test]
async fn a_claim_is_a_poll_without_control_and_bundle() {
    let world = World::new().await;
    let worker = world.worker("w").await;
    assert!(worker.claim(json!({})).await.is_null());
    let message = world.enqueue(TALK).await;
    let job = worker.claim(json!({})).await;
    assert_eq!((&job["messageId"], &job["attempt"]), (&json!(message), &json!(1)));
    assert_eq!(job["payload"]["messageText"], "hello");
    assert_eq!(worker.poll(json!({"conversationId": TALK})).await["job"], job, "the same, by its other name");
}

#[tokio::test]
async fn what_a_waiting_worker_finds_is_claimed_under_the_policies_in_force() {
    let world = World::new().await;
    let worker = world.worker("w").await;
    assert!(worker.poll(json!({})).await["job"].is_null());
    world.api.put("/v1/config/policies", json!({"lease": {"leaseMs": 60_000}})).send().await.body_of(200);
    world.advance(Millis::from_secs(11));
    world.enqueue(TALK).await;
    let lasts = |job: &Value| job["leaseExpiresAt"].as_u64().unwrap() - world.app.now().as_millis();
    let job = worker.poll(json!({})).await["job"].clone();
    assert_eq!(lasts(&job), 60_000, "{job}");

    // The same for one that found nothing, and has got a conversation by its name since.
    let other = world.worker("other").await;
    assert!(other.poll(json!({})).await["job"].is_null());
    world.enqueue("other").await;
    let job = other.claim(json!({"conversationId": "other"})).await;
    other.complete(&job, json!({})).await.body_of(200);
    world.api.put("/v1/config/policies", json!({"lease": {"leaseMs": 70_000}})).send().await.body_of(200);
    world.advance(Millis::from_secs(11));
    world.enqueue("other").await;
    let job = other.poll(json!({"conversationId": "other"})).await["job"].clone();
    assert_eq!(lasts(&job), 70_000, "{job}");
}

#[tokio::test]
async fn a_live_lease_is_answered_again_three_times_and_then_no_more() {
    for (how, body) in [("claim", json!({})), ("claim", json!({"conversationId": TALK})), ("poll", json!({}))]
    {
        let world = World::new().await;
        let (worker, job) = world.busy_worker("w", TALK).await;
        world.enqueue(TALK).await;
        for time in 1..=3 {
            let again = worker.post(how, body.clone()).await.body_of(200)["job"].clone();
            assert_eq!(again, job, "{how} for the {time}. time: the same lease, attempt and fence");
        }
        let fourth = worker.post(how, body).await.body_of(200);
        assert!(fourth["job"].is_null(), "{how}: {fourth}");
        worker.complete(&job, json!({})).await.body_of(200);
        let next = worker.claim(json!({})).await;
        assert_eq!((&next["attempt"], &next["fence"]), (&json!(1), &json!(2)), "the lease is still good");
    }
}

#[tokio::test]
async fn a_claim_that_names_a_conversation_gets_that_one_or_nothing() {
    let world = World::new().await;
    let other = world.enqueue("other").await;
    let (pinned, free) = (world.worker("pinned").await, world.worker("free").await);
    let talk = json!({"conversationId": TALK});
    assert!(pinned.claim(talk.clone()).await.is_null(), "there is none of that name");
    let message = world.enqueue(TALK).await;
    let job = pinned.claim(talk.clone()).await;
    assert_eq!((&job["messageId"], &job["conversationId"]), (&json!(message), &json!(TALK)));
    pinned.complete(&job, json!({})).await.body_of(200);
    assert!(pinned.claim(talk.clone()).await.is_null(), "nothing waits there");
    assert!(pinned.claim(json!({"conversationId": "other"})).await.is_null(), "it has a conversation");

    world.enqueue(TALK).await;
    assert!(free.claim(talk.clone()).await.is_null(), "another worker has it");
    assert_eq!(free.claim(json!({})).await["messageId"], other.as_str());
    assert!(!pinned.claim(talk).await.is_null());
}

#[tokio::test]
async fn what_waits_for_a_retry_in_time_is_worth_waiting_for() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", TALK).await;
    let id = |text: &str| af_domain::ids::ConversationId::parse(text).unwrap();
    let w = af_domain::ids::WorkerId::parse("w").unwrap();
    let queued = async |conversation: &str| {
        let asked = af_app::worker::has_queued(&world.app, &w, &id(conversation)).await;
        asked.map_err(|refused| refused.to_string())
    };
    assert_eq!(queued(TALK).await, Ok(false), "only what it runs itself");
    let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "no"});
    worker.post(&format!("messages/{}/fail", job["messageId"].as_str().unwrap()), body).await.body_of(200);
    assert!(worker.claim(json!({})).await.is_null(), "it is not due");
    assert_eq!(queued(TALK).await, Ok(true));
    world.enqueue("foreign").await;
    let foreign = queued("foreign").await.unwrap_err();
    assert_eq!(foreign, "there is no conversation foreign of this worker");
    assert_eq!(queued("unknown").await.unwrap_err(), foreign.replace("foreign", "unknown"));
}

#[tokio::test]
async fn control_says_what_a_poll_would_say_and_claims_nothing() {
    let world = World::new().await;
    world.enqueue(TALK).await;
    let worker = world.worker("w").await;
    let told = worker.get("control").await.body_of(200);
    assert_eq!(told["control"], json!({"shouldStop": false, "reasons": [], "switch": false}));
    assert!(told["nextPollMs"].is_u64());
    assert!(!worker.claim(json!({})).await.is_null(), "it is still there");
    for path in ["control", "control?conversationId=talk", "control?conversationId=foreign"] {
        assert_eq!(worker.get(path).await.body_of(200)["control"]["shouldStop"], false, "{path}");
    }
}

#[tokio::test]
async fn of_two_appends_that_have_seen_the_same_count_the_slower_one_is_not_taken_for_a_repetition() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", TALK).await;
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
    assert_eq!(append(0, &["fast"]).await.body_of(200), json!({"appended": 1}), "its answer was lost");
    append(1, &["slow", "slower"]).await.body_of(200);
    append(1, &["slow", "slower"]).await.body_of(200);
    assert_eq!(append(1, &["slow", "slow"]).await.problem(), (409, "out_of_order"));
    let path = format!("messages/{}/bundle", job["messageId"].as_str().unwrap());
    let state = worker.get(&path).await.body_of(200)["conversationState"].clone();
    let said: Vec<_> = state["contextHistory"].as_array().unwrap().iter().map(|e| &e["content"]).collect();
    assert_eq!(said, ["fast", "slow", "slower"]);
    assert_eq!(state["pendingToolCalls"][0]["toolName"], "slow");
}
