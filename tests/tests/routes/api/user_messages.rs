//! The messages of a user, as a consumer app sees them: the queue, the conversation, and one message with a wait.

use std::time::Duration;

use af_domain::time::Millis;
use serde_json::json;

use crate::api::{World, each};

const QUEUE: &str = "/v1/users/ann/agents/support/queue";
const CONVERSATION: &str = "/v1/users/ann/agents/support/conversation";

async fn listed(world: &World, query: &str) -> Vec<String> {
    let page = world.api.get(&format!("{QUEUE}?{query}")).send().await.body_of(200);
    each(&page, "messageId").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_queue_of_a_user_is_listed_by_state() {
    let world = World::new().await;
    assert_eq!(listed(&world, "").await, [""; 0], "an unknown user has no messages");
    world.bind("ann", "support").await;
    assert_eq!(listed(&world, "").await, [""; 0], "a bound user who has not written has no messages");
    let token = world.worker("w").await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(world.say("ann", &format!("question {n}")).await);
        world.advance(Millis::new(1));
    }
    let conversation = "user-agent:support:ann";
    world.complete_one(&token, None, json!([])).await;
    world.bind("bob", "support").await;
    world.say("bob", "hello").await;
    world.dead_letter_one(&token, Some(conversation)).await;
    world.poll(&token, json!({"conversationId": conversation})).await;
    world.api.delete(&format!("/v1/users/ann/messages/{}", ids[3])).send().await.body_of(200);
    ids.push(world.say("ann", "question 4").await);
    for (state, expected) in [
        ("done", vec![&ids[0]]),
        ("dead_letter", vec![&ids[1]]),
        ("processing", vec![&ids[2]]),
        ("cancelled", vec![&ids[3]]),
        ("queued", vec![&ids[4]]),
    ] {
        let page = world.api.get(&format!("{QUEUE}?status={state}")).send().await.body_of(200);
        assert_eq!(each(&page, "messageId"), expected, "{state}");
        assert_eq!(each(&page, "status"), [state]);
    }
    let all: Vec<_> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(&world, "").await, all);
    let wrong = world.api.get(&format!("{QUEUE}?status=late")).send().await;
    assert_eq!((wrong.problem(), wrong.pointer()), ((422, "invalid_field"), "/status"));
}

#[tokio::test]
async fn the_queue_of_a_user_is_paged_in_every_state() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.insert(0, world.say("ann", &format!("question {n}")).await);
        world.advance(Millis::new(1));
    }
    for query in ["", "&status=queued"] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        for _ in 0..4 {
            let page = world.api.get(&format!("{QUEUE}?limit=2{query}{cursor}")).send().await.body_of(200);
            found.extend(each(&page, "messageId").into_iter().map(str::to_owned));
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, ids, "{query}");
        let other = world.api.get(&format!("{QUEUE}?status=done{cursor}")).send().await;
        assert_eq!((other.problem(), other.pointer()), ((422, "invalid_field"), "/cursor"));
    }
}

#[tokio::test]
async fn an_app_sees_neither_the_update_nor_the_file_ids_of_telegram() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let id = world
        .enqueue_body(json!({
            "conversationId": "user-agent:support:ann", "agentKey": "support",
            "payload": {
                "provider": "telegram", "providerUserId": "42", "messageText": "hello",
                "externalMessageId": "7", "rawUpdateJson": "{\"secret\":1}",
            },
        }))
        .await;
    assert!(world.message(&json!(id)).await["payload"]["rawUpdateJson"].is_string(), "an operator sees it");
    let expected = json!({
        "provider": "telegram", "providerUserId": "42", "messageText": "hello", "externalMessageId": "7",
        "metadata": {"providerUserId": "42"}, "attachments": [],
    });
    let one = world.api.get(&format!("/v1/users/ann/messages/{id}")).send().await.body_of(200);
    assert_eq!(one["payload"], expected);
    let queue = world.api.get(QUEUE).send().await.body_of(200);
    assert_eq!(queue["items"][0]["payload"], expected);
    let conversation = world.api.get(CONVERSATION).send().await.body_of(200);
    assert_eq!(conversation["queueItems"][0]["payload"], expected);
}

#[tokio::test]
async fn a_page_of_a_conversation_takes_three_requests() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let token = world.worker("w").await;
    for n in 0..4 {
        world.say("ann", &format!("question {n}")).await;
        let conversation = (n > 0).then_some("user-agent:support:ann");
        let history = json!([{"role": "user", "content": "q", "at": n}, {"role": "assistant", "content": "a", "at": n}]);
        world.complete_one(&token, conversation, history).await;
        world.advance(Millis::new(1));
    }
    let (boot, meter) = world.bundle.metered_boot("user-api");
    let app = af_app::App::from_boot(&boot).unwrap();
    let (user, agent) = ("ann".parse().unwrap(), "support".parse().unwrap());
    let mut part = af_app::conversations::view::Part { limit: 2, ..Default::default() };
    meter.take();
    for page in 0..3 {
        let shown =
            Box::pin(af_app::conversations::view::conversation(&app, &user, &agent, &part)).await.unwrap();
        assert_eq!(meter.take().requests, 3, "page {page}");
        assert_eq!(shown.last_user_message_at, Some(3), "every page has the times of the newest one");
        let Some(history) = shown.next_history_cursor else { break };
        part.history = af_app::conversations::view::HistoryPlace::read(&history);
        part.items =
            shown.next_queue_cursor.as_deref().and_then(af_app::conversations::view::ItemPlace::read);
    }
}

#[tokio::test]
async fn a_message_is_shown_when_it_has_ended_or_the_wait_is_over() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let id = world.say("ann", "hello").await;
    let path = format!("/v1/users/ann/messages/{id}");
    let (shown, passed) = world.waited(world.api.get(&format!("{path}?waitMs=20000")).send()).await;
    assert_eq!(shown["status"], "queued");
    assert!(passed >= Millis::from_secs(20), "{passed}");

    let token = world.worker("w").await;
    let call = tokio::spawn(world.api.get(&format!("{path}?waitMs=20000")).send());
    tokio::task::yield_now().await;
    world.complete_one(&token, None, json!([])).await;
    let (shown, _) = world.waited(async { call.await.unwrap() }).await;
    assert_eq!((&shown["status"], &shown["reply"]), (&json!("done"), &json!("hi there")));

    let at_once = world.api.get(&format!("{path}?waitMs=20000")).send();
    let shown =
        tokio::time::timeout(Duration::from_secs(10), at_once).await.expect("it has ended").body_of(200);
    assert_eq!(shown["status"], "done");
}

#[tokio::test]
async fn a_wait_of_more_than_20_seconds_is_refused() {
    let world = World::new().await;
    for wait in ["20001", "-1", "soon", ""] {
        let answer = world.api.get(&format!("/v1/users/ann/messages/m?waitMs={wait}")).send().await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/waitMs"), "{wait}");
    }
    let foreign = world.api.get("/v1/users/ann/messages/m?waitMs=20000").send().await;
    assert_eq!(foreign.problem(), (404, "not_found"), "a message that does not exist is not waited for");
}
