//! Operations on messages and conversations: show with attempts, cancel, free.

use af_domain::time::Millis;
use af_tests::bundle::START;
use serde_json::{Value, json};

use crate::api::{World, message};

/// Longer than every backoff.
pub const LONGER_THAN_EVERY_BACKOFF: Millis = Millis::from_secs(661);

impl World {
    pub async fn shown(&self, id: &str) -> Value {
        self.api.get(&format!("/v1/messages/{id}")).send().await.body_of(200)
    }

    pub async fn conversation(&self, id: &str) -> Value {
        self.api.get(&format!("/v1/conversations/{id}")).send().await.body_of(200)
    }

    pub async fn dead_letter(&self, conversation: &str, token: &str) -> String {
        let id = self.enqueue(conversation, "poison").await;
        self.dead_letter_one(token, Some(conversation)).await;
        self.bundle.clock.advance(Millis::new(1));
        id
    }

    /// The job that the worker claims; it owns `conversation` afterwards.
    pub async fn claim(&self, token: &str, conversation: Option<&str>) -> Value {
        self.poll(token, json!({"conversationId": conversation})).await["job"].clone()
    }

    pub async fn beat(&self, token: &str, job: &Value) -> Value {
        let path = format!("/v1/worker/messages/{}/heartbeat", job["messageId"].as_str().unwrap());
        let body = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
        self.api.post(&path, body).key(token).send().await.body_of(200)
    }

    pub async fn fail(&self, token: &str, job: &Value, error: &str) -> Value {
        let path = format!("/v1/worker/messages/{}/fail", job["messageId"].as_str().unwrap());
        let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": error});
        self.api.post(&path, body).key(token).send().await.body_of(200)
    }

    pub fn post(&self, path: &str) -> af_tests::calls::Call {
        self.api.post(path, json!({}))
    }
}

#[tokio::test]
async fn a_message_is_shown_with_each_of_its_attempts() {
    let world = World::new().await;
    let id = world.enqueue("c", "hello").await;
    let token = world.worker("w-1").await;
    let job = world.claim(&token, None).await;
    let running = world.shown(&id).await;
    let now = START.as_millis();
    let first = json!({
        "number": 1, "fence": 1, "workerId": "w-1", "claimedAt": now, "endedAt": null, "outcome": "running",
        "endedBy": null,
    });
    assert_eq!(running["attemptLog"], json!([first]));
    world.bundle.clock.advance(Millis::new(500));
    world.fail(&token, &job, "model is down").await;
    world.bundle.clock.advance(LONGER_THAN_EVERY_BACKOFF);
    world.complete_one(&token, Some("c"), json!([])).await;
    let later = now + 500 + LONGER_THAN_EVERY_BACKOFF.as_millis();
    let expected = json!([
        {
            "number": 1, "fence": 1, "workerId": "w-1", "claimedAt": now, "endedAt": now + 500,
            "outcome": "requeued", "endedBy": "worker", "error": "model is down",
        },
        {
            "number": 2, "fence": 2, "workerId": "w-1", "claimedAt": later, "endedAt": later, "outcome": "done",
            "endedBy": "worker",
        },
    ]);
    assert_eq!(world.shown(&id).await["attemptLog"], expected);
}

#[tokio::test]
async fn users_do_not_see_the_workers_of_their_messages() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let id = world.say("ann", "hello").await;
    let token = world.worker("w-1").await;
    world.claim(&token, None).await;
    let shown = world.api.get(&format!("/v1/users/ann/messages/{id}")).send().await.body_of(200);
    assert!(!shown.to_string().contains("w-1"), "{shown}");
}

#[tokio::test]
async fn a_queued_message_is_cancelled_at_once_and_the_next_one_becomes_the_head() {
    let world = World::new().await;
    let (first, second) = (world.enqueue("c", "one").await, world.enqueue("c", "two").await);
    let cancel = || world.post(&format!("/v1/queue/{first}/cancel"));
    let expected = json!({"messageId": first, "status": "cancelled", "cancelling": false});
    assert_eq!(cancel().send().await.body_of(200), expected);
    let items = world.items().await;
    assert_eq!(cancel().send().await.body_of(200), expected, "the call can be repeated");
    assert_eq!(world.items().await, items);
    let shown = world.shown(&first).await;
    assert_eq!((&shown["status"], &shown["finishedAt"]), (&json!("cancelled"), &json!(START.as_millis())));
    let stored = items.iter().find(|i| i["pk"]["S"] == format!("M#{first}")).unwrap();
    assert!(stored["ttl"]["N"].is_string(), "a cancelled message expires like a done one");
    let token = world.worker("w").await;
    assert_eq!(world.claim(&token, None).await["messageId"], second);
    world.complete_one(&token, Some("c"), json!([])).await;
    assert!(world.claim(&token, Some("c")).await.is_null());
}

#[tokio::test]
async fn the_cancellation_of_the_last_message_removes_the_conversation_from_the_ready_index() {
    let world = World::new().await;
    let id = world.enqueue("c", "one").await;
    world.post(&format!("/v1/queue/{id}/cancel")).send().await.body_of(200);
    let stats = world.api.get("/v1/queue/stats").send().await.body_of(200);
    assert!(stats["oldestReadyAgeMs"].is_null(), "{stats}");
}

#[tokio::test]
async fn a_running_message_is_cancelled_through_its_worker() {
    let world = World::new().await;
    let id = world.enqueue("c", "one").await;
    let token = world.worker("w").await;
    let job = world.claim(&token, None).await;
    assert_eq!(world.beat(&token, &job).await["cancelled"], false);
    let cancel = || world.post(&format!("/v1/queue/{id}/cancel"));
    let expected = json!({"messageId": id, "status": "processing", "cancelling": true});
    for _ in 0..2 {
        assert_eq!(cancel().send().await.body_of(202), expected);
    }
    assert_eq!(world.shown(&id).await["cancelling"], true);
    let beat = world.beat(&token, &job).await;
    assert_eq!((&beat["held"], &beat["cancelled"]), (&json!(true), &json!(true)));
    let failed = world.fail(&token, &job, "cancelled").await;
    assert_eq!((&failed["requeued"], &failed["deadLettered"]), (&json!(false), &json!(false)));
    let shown = world.shown(&id).await;
    assert_eq!(
        (&shown["status"], &shown["attemptLog"][0]["outcome"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert_eq!(world.conversation("c").await["lastOutcome"]["outcome"], "cancelled");
}

#[tokio::test]
async fn a_completion_after_a_cancellation_ends_as_cancelled_and_keeps_its_history() {
    let world = World::new().await;
    let id = world.enqueue("c", "one").await;
    let token = world.worker("w").await;
    let job = world.claim(&token, None).await;
    world.post(&format!("/v1/queue/{id}/cancel")).send().await.body_of(202);
    let path = format!("/v1/worker/messages/{id}/complete");
    let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "reply": {"text": "hi"}});
    for _ in 0..2 {
        world.api.post(&path, body.clone()).key(&token).send().await.body_of(200);
    }
    let shown = world.shown(&id).await;
    assert_eq!((&shown["status"], &shown["reply"]), (&json!("cancelled"), &json!("hi")));
    assert_eq!(shown["attemptLog"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_dead_letter_can_be_cancelled_and_a_done_message_cannot() {
    let world = World::new().await;
    let token = world.worker("w").await;
    let dead = world.dead_letter("c", &token).await;
    world.post(&format!("/v1/queue/{dead}/cancel")).send().await.body_of(200);
    assert_eq!(world.shown(&dead).await["status"], "cancelled");
    assert!(!world.items().await.iter().any(|i| i["pk"]["S"].as_str().unwrap().starts_with("DL#")));
    let refused = world.refused(world.post(&format!("/v1/queue/{dead}/retry"))).await;
    assert_eq!(refused.problem(), (409, "conflict"));
    let done = world.enqueue("c", "hello").await;
    world.complete_one(&token, Some("c"), json!([])).await;
    let refused = world.refused(world.post(&format!("/v1/queue/{done}/cancel"))).await;
    assert_eq!(refused.problem(), (409, "conflict"));
    assert_eq!(world.post("/v1/queue/unknown/cancel").send().await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn users_cancel_their_own_messages_only() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    world.bind("bob", "support").await;
    let id = world.say("ann", "hello").await;
    let path = |user: &str| format!("/v1/users/{user}/messages/{id}");
    let foreign = world.refused(world.api.delete(&path("bob"))).await;
    assert_eq!(foreign.problem(), (404, "not_found"));
    let operators = world.enqueue("c", "hello").await;
    let foreign = world.refused(world.api.delete(&format!("/v1/users/ann/messages/{operators}"))).await;
    assert_eq!(foreign.problem(), (404, "not_found"));
    let token = world.worker("w").await;
    let mut job = world.claim(&token, None).await;
    if job["messageId"] != *id {
        job = world.claim(&world.worker("v").await, None).await;
    }
    assert_eq!(job["messageId"], *id);
    let running = world.api.delete(&path("ann")).send().await.body_of(202);
    assert_eq!(running["cancelling"], true);
}

#[tokio::test]
async fn a_conversation_is_shown_with_its_running_and_queued_messages_without_the_lease_id() {
    let world = World::new().await;
    let first = world.enqueue("c d", "one").await;
    let later = world.enqueue("c d", "two").await;
    let mut urgent = message("c d", "three");
    urgent["priority"] = json!(90);
    let urgent = world.api.post("/v1/messages", urgent).send().await.body_of(202)["messageId"].clone();
    let token = world.worker("w").await;
    let job = world.claim(&token, None).await;
    assert_eq!(job["messageId"], urgent);
    let shown = world.conversation("c%20d").await;
    let now = START.as_millis();
    let pending = |id: &str| json!({"messageId": id, "priority": 50, "scheduledFor": now, "attempts": 0, "maxAttempts": 8});
    let expected = json!({
        "conversationId": "c d", "agentKey": "support", "fence": 1, "version": shown["version"], "activeAt": now,
        "owner": {
            "workerId": "w", "state": "active", "seenAt": now, "assignedAt": now, "wantedElsewhere": true,
        },
        "lease": {
            "fence": 1, "workerId": "w", "messageId": urgent, "attempt": 1, "claimedAt": now,
            "expiresAt": now + 90_000, "cancelled": false,
        },
        "pendingCount": 2, "pending": [pending(&first), pending(&later)], "lastOutcome": null,
    });
    assert_eq!(shown, expected);
    assert!(!shown.to_string().contains(job["leaseId"].as_str().unwrap()));
    let missing = world.api.get("/v1/conversations/unknown").send().await;
    assert_eq!(missing.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_freed_conversation_continues_with_another_worker() {
    let world = World::new().await;
    let id = world.enqueue("c", "one").await;
    let token = world.worker("w").await;
    let job = world.claim(&token, None).await;
    let free = |body| world.api.post("/v1/conversations/c/free", body);
    let freed = free(json!({"reason": "it hangs", "fence": 1})).send().await.body_of(200);
    let expected = json!({"conversationId": "c", "workerId": "w", "messageId": id, "outcome": "requeued"});
    assert_eq!(freed, expected);
    let shown = world.shown(&id).await;
    assert_eq!(shown["lastError"], "freed by operator: it hangs");
    assert_eq!((&shown["attempts"], &shown["attemptLog"][0]["endedBy"]), (&json!(1), &json!("operator")));
    assert_eq!(world.beat(&token, &job).await["held"], false);
    let control = world.poll(&token, json!({"conversationId": "c"})).await["control"].clone();
    assert_eq!(control["shouldStop"], true, "{control}");
    let worker = world.api.get("/v1/workers/w").send().await.body_of(200);
    assert_eq!((&worker["status"], &worker["drainReason"]), (&json!("draining"), &json!("operator")));
    assert!(worker["assignment"].is_null());
    world.bundle.clock.advance(LONGER_THAN_EVERY_BACKOFF);
    let next = world.worker("v").await;
    let again = world.claim(&next, None).await;
    assert_eq!((&again["messageId"], &again["attempt"]), (&json!(id), &json!(2)));
    let old = world.refused(free(json!({"reason": "it hangs", "fence": 1}))).await;
    assert_eq!(old.problem(), (409, "conflict"), "the call cannot affect the next claim");
}

#[tokio::test]
async fn freeing_a_conversation_needs_a_reason_and_an_owner() {
    let world = World::new().await;
    world.enqueue("c", "one").await;
    let free = |body| world.api.post("/v1/conversations/c/free", body);
    let free_already = world.refused(free(json!({"reason": "why not"}))).await;
    assert_eq!(free_already.problem(), (409, "conflict"));
    for reason in [String::new(), "  ".into(), "x".repeat(151)] {
        let refused = world.refused(free(json!({"reason": reason}))).await;
        assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), "/reason"));
    }
    assert_eq!(world.refused(free(json!({}))).await.problem().0, 422);
    assert_eq!(world.refused(free(json!({"reason": "r", "force": true}))).await.problem().0, 422);
    let missing = world.api.post("/v1/conversations/unknown/free", json!({"reason": "r"})).send().await;
    assert_eq!(missing.problem(), (404, "not_found"));
    let body = json!({"workerId": "w", "conversationId": "c"});
    world.api.post("/v1/workers", body).send().await.body_of(201);
    let freed = free(json!({"reason": "never came up"})).send().await.body_of(200);
    assert_eq!((&freed["workerId"], &freed["messageId"]), (&json!("w"), &Value::Null));
    assert!(world.conversation("c").await["owner"].is_null());
}

#[tokio::test]
async fn queue_stats_survive_any_clock() {
    let world = World::new().await;
    world.enqueue("c", "hello").await;
    for ahead in [Millis::from_days(365 * 8_000), Millis::new(u64::MAX)] {
        world.bundle.clock.advance(ahead);
        let stats = world.api.get("/v1/queue/stats").send().await.body_of(200);
        assert!(stats["oldestReadyAgeMs"].as_u64().unwrap() >= ahead.as_millis() / 2, "{stats}");
    }
}
