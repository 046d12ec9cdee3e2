//! Show with attempts, retry, cancel, free.

use af_domain::attempt::ATTEMPTS_KEPT;
use af_domain::time::Millis;
use af_tests::bundle::START;
use serde_json::{Value, json};

use crate::{World, each, message};

/// Past every backoff.
const PAST_THE_BACKOFF: Millis = Millis::from_secs(150);

impl World {
    async fn shown(&self, id: &str) -> Value {
        self.api.get(&format!("/v1/messages/{id}")).send().await.body_of(200)
    }

    async fn conversation(&self, id: &str) -> Value {
        self.api.get(&format!("/v1/conversations/{id}")).send().await.body_of(200)
    }

    async fn dead_letter(&self, conversation: &str, token: &str) -> String {
        let id = self.enqueue(conversation, "poison").await;
        self.fail_one(token, Some(conversation)).await;
        self.bundle.clock.advance(Millis::new(1));
        id
    }

    /// What the worker runs; it owns `conversation` afterwards.
    async fn claim(&self, token: &str, conversation: Option<&str>) -> Value {
        self.poll(token, json!({"conversationId": conversation})).await["job"].clone()
    }

    async fn beat(&self, token: &str, job: &Value) -> Value {
        let path = format!("/v1/worker/messages/{}/heartbeat", job["messageId"].as_str().unwrap());
        let body = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
        self.api.post(&path, body).key(token).send().await.body_of(200)
    }

    async fn fail(&self, token: &str, job: &Value, error: &str) -> Value {
        let path = format!("/v1/worker/messages/{}/fail", job["messageId"].as_str().unwrap());
        let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": error});
        self.api.post(&path, body).key(token).send().await.body_of(200)
    }

    fn post(&self, path: &str) -> af_tests::calls::Call {
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
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    world.answer_one(&token, Some("c"), json!([])).await;
    let later = now + 500 + PAST_THE_BACKOFF.as_millis();
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
async fn a_user_does_not_see_workers() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let id = world.say("ann", "hello").await;
    let token = world.worker("w-1").await;
    world.claim(&token, None).await;
    let shown = world.api.get(&format!("/v1/users/ann/messages/{id}")).send().await.body_of(200);
    assert!(!shown.to_string().contains("w-1"), "{shown}");
}

#[tokio::test]
async fn only_the_newest_attempts_are_kept_also_over_a_retry() {
    let world = World::new().await;
    let mut body = message("c", "poison");
    body["maxAttempts"] = json!(ATTEMPTS_KEPT + 3);
    let sent = world.api.post("/v1/messages", body).send().await.body_of(202);
    let id = sent["messageId"].as_str().unwrap();
    let token = world.worker("w").await;
    for _ in 0..ATTEMPTS_KEPT + 3 {
        let job = world.claim(&token, Some("c")).await;
        world.fail(&token, &job, "no").await;
        world.bundle.clock.advance(PAST_THE_BACKOFF);
    }
    let fences = |shown: &Value| -> Vec<u64> {
        shown["attemptLog"].as_array().unwrap().iter().map(|a| a["fence"].as_u64().unwrap()).collect()
    };
    let kept = ATTEMPTS_KEPT as u64;
    let dead = world.shown(id).await;
    assert_eq!((&dead["status"], fences(&dead)), (&json!("dead_letter"), (4..=kept + 3).collect::<Vec<_>>()));
    world.post(&format!("/v1/queue/{id}/retry")).send().await.body_of(200);
    let job = world.claim(&token, Some("c")).await;
    assert_eq!(job["attempt"], 1);
    world.fail(&token, &job, "no").await;
    assert_eq!(fences(&world.shown(id).await), (5..=kept + 4).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_retried_dead_letter_runs_once_more_and_keeps_what_happened() {
    let world = World::new().await;
    let token = world.worker("w").await;
    let id = world.dead_letter("c", &token).await;
    let other = world.enqueue("c", "after").await;
    let answer = world.post(&format!("/v1/queue/{id}/retry")).send().await.body_of(200);
    assert_eq!(answer, json!({"messageId": id, "status": "queued"}));
    let queued = world.shown(&id).await;
    assert_eq!((&queued["status"], &queued["attempts"]), (&json!("queued"), &json!(0)));
    assert!(queued["finishedAt"].is_null());
    let dead = world.api.get("/v1/queue/messages?status=dead_letter").send().await.body_of(200);
    assert_eq!(dead["items"], json!([]));
    for expected in [&other, &id] {
        let job = world.claim(&token, Some("c")).await;
        assert_eq!(job["messageId"], **expected, "it re-enters at the end");
        let path = format!("/v1/worker/messages/{expected}/complete");
        let body = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
        world.api.post(&path, body).key(&token).send().await.body_of(200);
    }
    assert!(world.claim(&token, Some("c")).await.is_null());
    let done = world.shown(&id).await;
    assert_eq!(done["status"], "done");
    let outcomes: Vec<_> =
        done["attemptLog"].as_array().unwrap().iter().map(|a| a["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["dead_letter", "done"]);
}

#[tokio::test]
async fn a_retry_keeps_how_often_its_sender_wanted_it_tried() {
    let world = World::new().await;
    let token = world.worker("w").await;
    let mut body = message("c", "once");
    body["maxAttempts"] = json!(1);
    let id = world.api.post("/v1/messages", body).send().await.body_of(202)["messageId"].clone();
    let job = world.claim(&token, None).await;
    world.fail(&token, &job, "no").await;
    world.post(&format!("/v1/queue/{}/retry", id.as_str().unwrap())).send().await.body_of(200);
    let job = world.claim(&token, Some("c")).await;
    assert_eq!(world.fail(&token, &job, "no").await["deadLettered"], true);
}

#[tokio::test]
async fn only_a_dead_letter_is_retried_and_a_call_sent_again_is_answered_as_before() {
    let world = World::new().await;
    let token = world.worker("w").await;
    let id = world.dead_letter("c", &token).await;
    let path = format!("/v1/queue/{id}/retry");
    let with_key = |key: &str| world.post(&path).header("idempotency-key", key);
    let first = with_key("k-1").send().await.body_of(200);
    let items = world.items().await;
    assert_eq!(with_key("k-1").send().await.body_of(200), first);
    assert_eq!(world.items().await, items, "nothing happens twice");
    for again in [world.post(&path), with_key("k-2")] {
        let refused = world.refused(again).await;
        assert_eq!(refused.problem(), (409, "conflict"));
        assert!(refused.detail().contains("queued"), "{}", refused.detail());
    }
    world.answer_one(&token, Some("c"), json!([])).await;
    assert_eq!(with_key("k-1").send().await.body_of(200), first, "whatever has become of it since");
    let refused = world.refused(world.post(&path)).await;
    assert!(refused.detail().contains("done"), "{}", refused.detail());
    let missing = world.post("/v1/queue/nobody/retry").send().await;
    assert_eq!(missing.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_retry_needs_room_and_an_agent_that_takes_messages() {
    let world = World::new().await;
    let token = world.worker("w").await;
    let id = world.dead_letter("c", &token).await;
    let retry = || world.post(&format!("/v1/queue/{id}/retry"));
    let policies = json!({"queue": {"maxPendingPerConversation": 1}});
    world.api.put("/v1/config/policies", policies).send().await.body_of(200);
    world.enqueue("c", "waits").await;
    assert_eq!(world.refused(retry()).await.problem(), (429, "queue_full"));
    let asleep = json!({"version": "1", "enabled": false});
    world.api.put("/v1/agents/support", asleep).send().await.body_of(200);
    world.forget();
    assert_eq!(world.refused(retry()).await.problem(), (409, "agent_disabled"));
}

#[tokio::test]
async fn all_dead_letters_of_a_conversation_are_retried_oldest_first_as_far_as_there_is_room() {
    let world = World::new().await;
    let (token, other) = (world.worker("w").await, world.worker("v").await);
    let mut dead = Vec::new();
    for _ in 0..3 {
        dead.push(world.dead_letter("c", &token).await);
    }
    let elsewhere = world.dead_letter("d", &other).await;
    let policies = json!({"queue": {"maxPendingPerConversation": 2}});
    world.api.put("/v1/config/policies", policies).send().await.body_of(200);
    let all = |body| world.api.post("/v1/queue/retry", body);
    let done = all(json!({"conversationId": "c"})).send().await.body_of(200);
    assert_eq!(done, json!({"retried": 2, "full": [dead[2]], "refused": []}));
    let pending = world.conversation("c").await["pending"].clone();
    let ids: Vec<_> = pending.as_array().unwrap().iter().map(|p| p["messageId"].as_str().unwrap()).collect();
    assert_eq!(ids, dead[..2]);
    let page = world.api.get("/v1/queue/messages?status=dead_letter").send().await.body_of(200);
    assert_eq!(each(&page, "messageId"), [&elsewhere, &dead[2]]);
}

#[tokio::test]
async fn all_dead_letters_of_an_agent_are_retried_in_bounded_calls() {
    let world = World::new().await;
    world.agent("sales").await;
    let token = world.worker("w").await;
    let mut foreign = message("s", "poison");
    foreign["agentKey"] = json!("sales");
    let foreign = world.api.post("/v1/messages", foreign).send().await.body_of(202)["messageId"].clone();
    world.fail_one(&world.worker("v").await, None).await;
    for _ in 0..130 {
        world.dead_letter("c", &token).await;
    }
    let all = |body| world.api.post("/v1/queue/retry", body);
    let first = all(json!({"agentKey": "support"})).send().await.body_of(200);
    let cursor = first["nextCursor"].clone();
    assert!(cursor.is_string(), "one call is bounded: {first}");
    let other = world.refused(all(json!({"agentKey": "sales", "cursor": cursor}))).await;
    assert_eq!((other.problem(), other.pointer()), ((422, "invalid_field"), "/cursor"));
    // It dies again behind the walk, which does not find it once more.
    world.bundle.clock.advance(Millis::new(1));
    world.fail_one(&token, Some("c")).await;
    let rest = all(json!({"agentKey": "support", "cursor": cursor})).send().await.body_of(200);
    assert_eq!(first["retried"].as_u64().unwrap() + rest["retried"].as_u64().unwrap(), 130);
    assert!(rest["nextCursor"].is_null(), "{rest}");
    let dead = world.api.get("/v1/queue/messages?status=dead_letter&agentKey=sales").send().await;
    assert_eq!(each(&dead.body_of(200), "messageId"), [foreign.as_str().unwrap()]);
}

#[tokio::test]
async fn retrying_all_needs_to_know_of_whom() {
    let world = World::new().await;
    for body in [json!({}), json!({"conversationId": "c", "agentKey": "support"})] {
        let refused = world.refused(world.api.post("/v1/queue/retry", body)).await;
        assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), "/conversationId"));
    }
    let unknown = world.refused(world.api.post("/v1/queue/retry", json!({"agent": "support"}))).await;
    assert_eq!(unknown.problem().0, 422);
    let none =
        world.api.post("/v1/queue/retry", json!({"conversationId": "nobody"})).send().await.body_of(200);
    assert_eq!(none, json!({"retried": 0, "full": [], "refused": []}));
}

#[tokio::test]
async fn a_waiting_message_is_cancelled_at_once_and_the_next_is_the_head() {
    let world = World::new().await;
    let (first, second) = (world.enqueue("c", "one").await, world.enqueue("c", "two").await);
    let cancel = || world.post(&format!("/v1/queue/{first}/cancel"));
    let expected = json!({"messageId": first, "status": "cancelled", "cancelling": false});
    assert_eq!(cancel().send().await.body_of(200), expected);
    let items = world.items().await;
    assert_eq!(cancel().send().await.body_of(200), expected, "it can be sent again");
    assert_eq!(world.items().await, items);
    let shown = world.shown(&first).await;
    assert_eq!((&shown["status"], &shown["finishedAt"]), (&json!("cancelled"), &json!(START.as_millis())));
    let stored = items.iter().find(|i| i["pk"]["S"] == format!("M#{first}")).unwrap();
    assert!(stored["ttl"]["N"].is_string(), "it is forgotten as one that is done");
    let token = world.worker("w").await;
    assert_eq!(world.claim(&token, None).await["messageId"], second);
    world.answer_one(&token, Some("c"), json!([])).await;
    assert!(world.claim(&token, Some("c")).await.is_null());
}

#[tokio::test]
async fn the_last_message_of_a_conversation_takes_its_place_in_the_index_along() {
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
async fn a_completion_after_a_cancellation_ends_cancelled_and_keeps_what_was_said() {
    let world = World::new().await;
    let id = world.enqueue("c", "one").await;
    let token = world.worker("w").await;
    let job = world.claim(&token, None).await;
    world.post(&format!("/v1/queue/{id}/cancel")).send().await.body_of(202);
    let path = format!("/v1/worker/messages/{id}/complete");
    let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "reply": "hi"});
    for _ in 0..2 {
        world.api.post(&path, body.clone()).key(&token).send().await.body_of(200);
    }
    let shown = world.shown(&id).await;
    assert_eq!((&shown["status"], &shown["reply"]), (&json!("cancelled"), &json!("hi")));
    assert_eq!(shown["attemptLog"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_dead_letter_is_cancelled_and_what_is_done_is_not() {
    let world = World::new().await;
    let token = world.worker("w").await;
    let dead = world.dead_letter("c", &token).await;
    world.post(&format!("/v1/queue/{dead}/cancel")).send().await.body_of(200);
    assert_eq!(world.shown(&dead).await["status"], "cancelled");
    assert!(!world.items().await.iter().any(|i| i["pk"]["S"].as_str().unwrap().starts_with("DL#")));
    let refused = world.refused(world.post(&format!("/v1/queue/{dead}/retry"))).await;
    assert_eq!(refused.problem(), (409, "conflict"));
    let done = world.enqueue("c", "hello").await;
    world.answer_one(&token, Some("c"), json!([])).await;
    let refused = world.refused(world.post(&format!("/v1/queue/{done}/cancel"))).await;
    assert_eq!(refused.problem(), (409, "conflict"));
    assert_eq!(world.post("/v1/queue/nobody/cancel").send().await.problem(), (404, "not_found"));
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
async fn a_conversation_is_shown_with_what_runs_and_waits_but_without_its_lease_id() {
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
    let pending = |id: &str| json!({"messageId": id, "priority": 50, "scheduledFor": now, "attempts": 0, "maxAttempts": 5});
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
    let missing = world.api.get("/v1/conversations/nobody").send().await;
    assert_eq!(missing.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_freed_conversation_goes_on_with_another_worker() {
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
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    let next = world.worker("v").await;
    let again = world.claim(&next, None).await;
    assert_eq!((&again["messageId"], &again["attempt"]), (&json!(id), &json!(2)));
    let old = world.refused(free(json!({"reason": "it hangs", "fence": 1}))).await;
    assert_eq!(old.problem(), (409, "conflict"), "the call cannot hit the next claim");
}

#[tokio::test]
async fn freeing_needs_a_reason_and_somebody_to_take_it_from() {
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
    let missing = world.api.post("/v1/conversations/nobody/free", json!({"reason": "r"})).send().await;
    assert_eq!(missing.problem(), (404, "not_found"));
    let body = json!({"workerId": "w", "conversationId": "c"});
    world.api.post("/v1/workers", body).send().await.body_of(201);
    let freed = free(json!({"reason": "never came up"})).send().await.body_of(200);
    assert_eq!((&freed["workerId"], &freed["messageId"]), (&json!("w"), &Value::Null));
    assert!(world.conversation("c").await["owner"].is_null());
}
