//! The redrive of dead letters: of one, or of all of a conversation or an agent.

use af_domain::attempt::ATTEMPTS_KEPT;
use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::api::operator::LONGER_THAN_EVERY_BACKOFF;
use crate::api::{World, each, message};

#[tokio::test]
async fn only_the_newest_attempts_are_kept_also_after_a_redrive() {
    let world = World::new().await;
    let mut body = message("c", "poison");
    body["maxAttempts"] = json!(ATTEMPTS_KEPT + 3);
    let sent = world.api.post("/v1/messages", body).send().await.body_of(202);
    let id = sent["messageId"].as_str().unwrap();
    let token = world.worker("w").await;
    for _ in 0..ATTEMPTS_KEPT + 3 {
        let job = world.claim(&token, Some("c")).await;
        world.fail(&token, &job, "no").await;
        world.bundle.clock.advance(LONGER_THAN_EVERY_BACKOFF);
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
async fn a_redriven_dead_letter_runs_again_and_keeps_its_attempts() {
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
        assert_eq!(job["messageId"], **expected, "the redriven message goes to the end of its queue");
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
async fn a_redrive_keeps_the_max_attempts_of_the_message() {
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
async fn only_a_dead_letter_is_redriven_and_a_repeated_call_gets_the_same_response() {
    let world = World::new().await;
    let token = world.worker("w").await;
    let id = world.dead_letter("c", &token).await;
    let path = format!("/v1/queue/{id}/retry");
    let with_key = |key: &str| world.post(&path).header("idempotency-key", key);
    let first = with_key("k-1").send().await.body_of(200);
    let items = world.items().await;
    assert_eq!(with_key("k-1").send().await.body_of(200), first);
    assert_eq!(world.items().await, items, "a repeated call writes nothing");
    for again in [world.post(&path), with_key("k-2")] {
        let refused = world.refused(again).await;
        assert_eq!(refused.problem(), (409, "conflict"));
        assert!(refused.detail().contains("queued"), "{}", refused.detail());
    }
    world.complete_one(&token, Some("c"), json!([])).await;
    assert_eq!(
        with_key("k-1").send().await.body_of(200),
        first,
        "the response stays the same after the message is done"
    );
    let refused = world.refused(world.post(&path)).await;
    assert!(refused.detail().contains("done"), "{}", refused.detail());
    let missing = world.post("/v1/queue/unknown/retry").send().await;
    assert_eq!(missing.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_redrive_needs_room_in_the_queue_and_an_enabled_agent() {
    let world = World::new().await;
    let token = world.worker("w").await;
    let id = world.dead_letter("c", &token).await;
    let retry = || world.post(&format!("/v1/queue/{id}/retry"));
    let policies = json!({"queue": {"maxPendingPerConversation": 1}});
    world.api.put("/v1/config/policies", policies).send().await.body_of(200);
    world.enqueue("c", "waits").await;
    assert_eq!(world.refused(retry()).await.problem(), (429, "queue_full"));
    let disabled = json!({"version": "1", "enabled": false});
    world.api.put("/v1/agents/support", disabled).send().await.body_of(200);
    world.expire_caches();
    assert_eq!(world.refused(retry()).await.problem(), (409, "agent_disabled"));
}

#[tokio::test]
async fn dead_letters_of_a_conversation_are_redriven_oldest_first_until_the_queue_is_full() {
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
async fn dead_letters_of_an_agent_are_redriven_in_bounded_calls() {
    let world = World::new().await;
    world.agent("sales").await;
    let token = world.worker("w").await;
    let mut foreign = message("s", "poison");
    foreign["agentKey"] = json!("sales");
    let foreign = world.api.post("/v1/messages", foreign).send().await.body_of(202)["messageId"].clone();
    world.dead_letter_one(&world.worker("v").await, None).await;
    for _ in 0..130 {
        world.dead_letter("c", &token).await;
    }
    let all = |body| world.api.post("/v1/queue/retry", body);
    let first = all(json!({"agentKey": "support"})).send().await.body_of(200);
    let cursor = first["nextCursor"].clone();
    assert!(cursor.is_string(), "one call has a limit: {first}");
    let other = world.refused(all(json!({"agentKey": "sales", "cursor": cursor}))).await;
    assert_eq!((other.problem(), other.pointer()), ((422, "invalid_field"), "/cursor"));
    // A redriven message becomes a dead letter again behind the cursor, so the next call does not find it.
    world.bundle.clock.advance(Millis::new(1));
    world.dead_letter_one(&token, Some("c")).await;
    let rest = all(json!({"agentKey": "support", "cursor": cursor})).send().await.body_of(200);
    assert_eq!(first["retried"].as_u64().unwrap() + rest["retried"].as_u64().unwrap(), 130);
    assert!(rest["nextCursor"].is_null(), "{rest}");
    let dead = world.api.get("/v1/queue/messages?status=dead_letter&agentKey=sales").send().await;
    assert_eq!(each(&dead.body_of(200), "messageId"), [foreign.as_str().unwrap()]);
}

#[tokio::test]
async fn a_redrive_of_all_needs_a_conversation_or_an_agent() {
    let world = World::new().await;
    for body in [json!({}), json!({"conversationId": "c", "agentKey": "support"})] {
        let refused = world.refused(world.api.post("/v1/queue/retry", body)).await;
        assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), "/conversationId"));
    }
    let unknown = world.refused(world.api.post("/v1/queue/retry", json!({"agent": "support"}))).await;
    assert_eq!(unknown.problem().0, 422);
    let none =
        world.api.post("/v1/queue/retry", json!({"conversationId": "unknown"})).send().await.body_of(200);
    assert_eq!(none, json!({"retried": 0, "full": [], "refused": []}));
}

/// The user's conversation, with at most `limit` entries of each part: roles and contents, page by page.
async fn history(world: &World, user: &str, limit: usize) -> Vec<Vec<String>> {
    let path = format!("/v1/users/{user}/agents/support/conversation?limit={limit}");
    let (mut query, mut pages) = (String::new(), Vec::new());
    loop {
        let page = world.api.get(&format!("{path}{query}")).send().await.body_of(200);
        let entries = page["contextHistory"].as_array().unwrap().iter();
        pages.insert(0, entries.map(|entry| entry["content"].as_str().unwrap().to_owned()).collect());
        let Some(cursor) = page["nextHistoryCursor"].as_str() else { return pages };
        query = format!("&historyCursor={cursor}");
    }
}

#[tokio::test]
async fn the_history_has_the_words_of_a_redriven_message_once_also_after_other_messages() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let token = world.worker("w").await;
    let conversation = "user-agent:support:ann";
    let entries = |texts: [&str; 2]| {
        json!([
            {"role": "user", "content": texts[0], "at": 5},
            {"role": "assistant", "content": texts[1], "at": 6},
        ])
    };
    // More attempts than the message keeps, so that the log does not have the first one any more. Each appends the
    // words before it fails.
    let mut body = message(conversation, "lost words");
    body["maxAttempts"] = json!(ATTEMPTS_KEPT + 1);
    let id = world.enqueue_body(body).await;
    let mut cursors = Vec::new();
    for n in 0..=ATTEMPTS_KEPT {
        let polled = world.poll(&token, json!({"conversationId": conversation})).await;
        let job = &polled["job"];
        let append = json!({
            "leaseId": job["leaseId"], "fence": job["fence"], "ordinal": 0,
            "messages": entries(["lost words", "I am thinking"]),
        });
        let path = format!("/v1/worker/conversations/{conversation}/history");
        world.api.post(&path, append).key(&token).send().await.body_of(200);
        world.fail(&token, job, "no").await;
        world.bundle.clock.advance(LONGER_THAN_EVERY_BACKOFF);
        assert_eq!(world.shown(&id).await["status"] == "dead_letter", n == ATTEMPTS_KEPT);
    }
    world.say("ann", "hello?").await;
    let polled = world.poll(&token, json!({"conversationId": conversation})).await;
    cursors.push(polled["bundle"]["cursor"].clone());
    complete(&world, &token, &polled["job"], entries(["hello?", "I am here"])).await;
    assert_eq!(
        history(&world, "ann", 20).await.concat(),
        ["lost words", "I am thinking", "hello?", "I am here"]
    );

    world.post(&format!("/v1/queue/{id}/retry")).send().await.body_of(200);
    let polled = world.poll(&token, json!({"conversationId": conversation})).await;
    cursors.push(polled["bundle"]["cursor"].clone());
    complete(&world, &token, &polled["job"], entries(["lost words", "found them"])).await;
    let expected = ["hello?", "I am here", "lost words", "found them"];
    for limit in 1..=5 {
        assert_eq!(history(&world, "ann", limit).await.concat(), expected, "{limit} a page");
    }

    // A worker that keeps files knows the old words. It gets the whole context, because a delta cannot replace them.
    world.say("ann", "thanks").await;
    let job = world.claim(&token, Some(conversation)).await;
    for since in cursors {
        let path = format!("/v1/worker/messages/{}/bundle", job["messageId"].as_str().unwrap());
        let path = format!("{path}?since={}", since.as_str().unwrap());
        let bundle = world.api.get(&path).key(&token).send().await.body_of(200);
        let context = bundle["conversationState"]["contextHistory"].as_array().unwrap();
        let contents: Vec<_> = context.iter().map(|entry| entry["content"].as_str().unwrap()).collect();
        assert_eq!((&bundle["delta"], contents), (&json!(false), expected.to_vec()));
    }
}

async fn complete(world: &World, token: &str, job: &Value, history: Value) {
    let path = format!("/v1/worker/messages/{}/complete", job["messageId"].as_str().unwrap());
    let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "history": history});
    world.api.post(&path, body).key(token).send().await.body_of(200);
}
