//! What the pages show, and what their forms do.

use serde_json::json;

use super::World;

#[tokio::test]
async fn a_conversation_shows_both_sides_with_its_attempts_and_why_it_waits() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    let token = world.worker_token("w").await;
    world.enqueue("c", "how are you").await;
    world
        .end(&token, "c", "fail", json!({"errorMessage": "the model was overloaded", "retryable": true}))
        .await;
    let waiting = browser.page("/console/conversations/c").await;
    assert!(waiting.contains("how are you") && waiting.contains("the model was overloaded"), "{waiting}");
    assert!(waiting.contains("its last attempt failed, and it is tried again"), "{waiting}");
    assert!(waiting.contains("attempt 1") && waiting.contains("requeued"), "{waiting}");
    world.advance(af_domain::time::Millis::from_secs(60));
    world.end(&token, "c", "complete", json!({"reply": {"text": "very well"}, "history": []})).await;
    let done = browser.page("/console/conversations/c").await;
    assert!(done.contains("very well") && done.contains("it has ended: done"), "{done}");
    assert_eq!(browser.get("/console/conversations/none").page().await.status, 404);
    assert_eq!(browser.get("/console/messages/none").page().await.status, 404);
}

#[tokio::test]
async fn a_dead_letter_is_retried_and_cancelled_with_its_buttons() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    let token = world.worker_token("w").await;
    let id = world.dead_letter(&token, "c", "no").await;
    let attention = browser.page("/console/attention").await;
    assert!(attention.contains("gave up on") && attention.contains(&id), "{attention}");
    let page = format!("/console/messages/{id}");
    assert!(browser.page(&page).await.contains("<button>Retry</button>"));
    let retried = browser.post(&format!("{page}/retry"), &[]).page().await;
    assert_eq!(retried.headers["location"], format!("{page}?done=retried").as_str());
    assert_eq!(world.message(&json!(id)).await["status"], "queued");
    assert!(browser.page(&format!("{page}?done=retried")).await.contains("The message is queued again."));
    let again = browser.post(&format!("{page}/retry"), &[]).page().await;
    assert_eq!(again.status, 409);
    assert!(again.text.contains("only a dead letter can be retried"), "{}", again.text);
    browser.post(&format!("{page}/cancel"), &[]).page().await;
    assert_eq!(world.message(&json!(id)).await["status"], "cancelled");
    let unanswered = browser.post(&format!("{page}/resend"), &[]).page().await;
    assert_eq!(unanswered.status, 409, "{}", unanswered.text);
}

#[tokio::test]
pub async fn many_dead_letters_are_shown_page_by_page_and_retried_together() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    let token = world.worker_token("w").await;
    let mut ids = Vec::new();
    for _ in 0..60 {
        ids.push(world.dead_letter(&token, "c", "no").await);
        world.advance(af_domain::time::Millis::from_secs(1));
    }
    let (mut path, mut seen, mut pages) = ("/console/queue?state=dead_letter".to_owned(), Vec::new(), 0);
    loop {
        let text = browser.page(&path).await;
        seen.extend(ids.iter().filter(|id| text.contains(id.as_str())).cloned());
        pages += 1;
        let Some((_, rest)) = text.split_once("rel=\"next\" href=\"") else { break };
        path = rest.split('"').next().unwrap().replace("&amp;", "&");
    }
    seen.sort();
    ids.sort();
    assert_eq!((pages, &seen), (3, &ids), "each dead letter is on one page");
    let stranger = browser.get("/console/queue?state=queued&cursor=AAAA").page().await;
    assert_eq!(stranger.status, 422);

    let nothing = browser.page("/console/queue?state=dead_letter&agent=other").await;
    assert!(nothing.contains("No message of this page passes the filters."), "{nothing}");
    let ours = browser.page("/console/queue?state=dead_letter&agent=support").await;
    assert!(ours.contains("Retry all of this agent"), "{ours}");
    let retried = browser.post("/console/queue/retry", &[("agent", "support")]).page().await;
    assert!(retried.text.contains("60 messages are queued again."), "{}", retried.text);
}

#[tokio::test]
async fn a_worker_is_drained_and_a_conversation_freed() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    let token = world.worker_token("w").await;
    world.enqueue("c", "hello").await;
    world.api.post("/v1/worker/poll", json!({"conversationId": "c"})).key(&token).send().await.body_of(200);
    let workers = browser.page("/console/workers").await;
    assert!(
        workers.contains("/console/workers/w/drain") && workers.contains("/console/conversations/c"),
        "{workers}"
    );
    let conversation = browser.page("/console/conversations/c").await;
    let fence = super::after(&conversation, "name=\"fence\" value=\"").to_owned();
    let free = "/console/conversations/c/free";
    assert_eq!(browser.post(free, &[("fence", "99"), ("reason", "it hangs")]).page().await.status, 409);
    assert_eq!(browser.post(free, &[("fence", &fence), ("reason", " ")]).page().await.status, 422);
    assert_eq!(browser.post(free, &[("fence", &fence), ("reason", "it hangs")]).page().await.status, 303);
    world.worker_token("v").await;
    assert_eq!(browser.post("/console/workers/v/drain", &[]).page().await.status, 303);
    assert_eq!(world.worker_row("v").await["drainReason"], "operator");
    assert_eq!(browser.post("/console/workers/v/drain", &[]).page().await.status, 409);
    assert_eq!(browser.post("/console/workers/none/drain", &[]).page().await.status, 404);
}

#[tokio::test]
async fn an_agent_is_paused_and_keeps_the_rest_of_its_profile() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    let profile = json!({"version": "7", "displayName": "Ann's", "secretsRef": ["tool.key"]});
    world.api.put("/v1/agents/support", profile).send().await.body_of(200);
    let path = "/console/agents/support";
    assert_eq!(browser.post(path, &[("enabled", "false")]).page().await.status, 303);
    let mut expected = world.api.get("/v1/agents/support").send().await.body_of(200);
    assert_eq!((&expected["enabled"], &expected["version"]), (&json!(false), &json!("7")));
    assert_eq!((&expected["displayName"], &expected["secretsRef"]), (&json!("Ann's"), &json!(["tool.key"])));
    assert!(browser.page(path).await.contains("Enable"));
    browser.post(path, &[("enabled", "true")]).page().await;
    expected["enabled"] = json!(true);
    let enabled = world.api.get("/v1/agents/support").send().await.body_of(200);
    expected["updatedAt"] = enabled["updatedAt"].clone();
    assert_eq!(enabled, expected);
    assert_eq!(browser.post(path, &[("enabled", "maybe")]).page().await.status, 400);
}

#[tokio::test]
pub async fn a_policy_is_set_refused_and_returned_to_its_default() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    let path = "/console/settings/policies";
    let set = |field: &'static str, value: &'static str| {
        browser.post(path, &[("group", "retry"), ("field", field), ("value", value)]).page()
    };
    assert_eq!(set("maxAttempts", "3").await.status, 303);
    let value = async || {
        let policies = world.api.get("/v1/config/policies").send().await.body_of(200);
        policies["retry"]["maxAttempts"]["value"].clone()
    };
    assert_eq!(value().await, 3);
    let refused = set("maxAttempts", "many").await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("retry.maxAttempts"), "{}", refused.text);
    assert_eq!(set("none", "1").await.status, 422);
    assert!(browser.page("/console/settings").await.contains("Return retry.maxAttempts to its default"));
    let reset = [("group", "retry"), ("field", "maxAttempts"), ("value", "3"), ("reset", "true")];
    assert_eq!(browser.post(path, &reset).page().await.status, 303);
    assert_eq!(value().await, 8);
}

#[tokio::test]
async fn the_search_leads_to_the_thing_with_this_id() {
    let world = World::new().await;
    let browser = world.browser(&["read"]).await;
    world.worker_token("w-1").await;
    world.api.put("/v1/users/ann/binding", json!({"agentKey": "support"})).send().await.body_of(200);
    let id = world.enqueue("user-agent:support:ann", "hello").await;
    let conversation = "/console/conversations/user-agent%3Asupport%3Aann";
    for (sought, place) in [
        (id.as_str(), format!("/console/messages/{id}")),
        ("w-1", "/console/workers?id=w-1".to_owned()),
        ("user-agent:support:ann", conversation.to_owned()),
        (" ann ", conversation.to_owned()),
    ] {
        let query = form_urlencoded::byte_serialize(sought.as_bytes()).collect::<String>();
        let answer = browser.get(&format!("/console/search?q={query}")).page().await;
        assert_eq!(answer.status, 303, "{sought}");
        assert_eq!(answer.headers["location"], place.as_str(), "{sought}");
    }
    assert!(browser.page("/console/search?q=none").await.contains("has this id"));
}
