use af_store::api_key::ApiKey;
use serde_json::{Value, json};

use crate::api::{World, each};

/// The values of `field` on every page of a list with two items a page, and the number of pages.
pub(super) async fn all(world: &World, path: &str, field: &str) -> (Vec<String>, usize) {
    let mut found = Vec::new();
    let mut query = "limit=2".to_owned();
    for pages in 1..100 {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = world.api.get(&format!("{path}{separator}{query}")).send().await.body_of(200);
        assert!(page["items"].as_array().unwrap().len() <= 2);
        found.extend(each(&page, field).into_iter().map(str::to_owned));
        match page["nextCursor"].as_str() {
            Some(cursor) => query = format!("limit=2&cursor={cursor}"),
            None => return (found, pages),
        }
    }
    panic!("{path} never ends");
}

#[tokio::test]
async fn agents_are_listed_page_by_page() {
    let world = World::new().await;
    for key in ["b", "a", "a-b", "a.b", "z"] {
        world.agent(key).await;
    }
    let (keys, pages) = all(&world, "/v1/agents", "agentKey").await;
    assert_eq!((keys, pages), (["a", "a-b", "a.b", "b", "support", "z"].map(str::to_owned).to_vec(), 3));
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let world = World::new().await;
    for _ in 0..5 {
        world.api.new_key(&["read"]).await;
        world.bundle.clock.advance(af_domain::time::Millis::new(1));
    }
    let (ids, pages) = all(&world, "/v1/keys", "keyId").await;
    assert_eq!((ids.len(), pages), (5, 3));
    assert!(ids.is_sorted());
}

#[tokio::test]
async fn workers_are_listed_page_by_page() {
    let world = World::new().await;
    for id in ["w-3", "w-1", "w-5", "w-2", "w-4"] {
        world.worker(id).await;
    }
    let (ids, pages) = all(&world, "/v1/workers", "workerId").await;
    assert_eq!((ids, pages), (["w-1", "w-2", "w-3", "w-4", "w-5"].map(str::to_owned).to_vec(), 3));
}

#[tokio::test]
async fn the_messages_of_a_conversation_are_listed_newest_first() {
    let world = World::new().await;
    let mut sent = Vec::new();
    for n in 0..5 {
        sent.push(world.enqueue("c d", &format!("{n}")).await);
        world.bundle.clock.advance(af_domain::time::Millis::new(1));
    }
    sent.reverse();
    let (ids, pages) = all(&world, "/v1/queue/messages?conversationId=c%20d", "messageId").await;
    assert_eq!((ids, pages), (sent.clone(), 3));
    let token = world.worker("w").await;
    world.complete_one(&token, None, json!([])).await;
    world.enqueue("another", "hello").await;
    let (done, _) = all(&world, "/v1/queue/messages?conversationId=c%20d&status=done", "messageId").await;
    assert_eq!(done, sent[4..]);
    let (queued, _) = all(&world, "/v1/queue/messages?conversationId=c%20d&status=queued", "messageId").await;
    assert_eq!(queued, sent[..4]);
}

#[tokio::test]
async fn a_page_has_at_most_two_hundred_items() {
    let world = World::new().await;
    for n in 0..150 {
        world.enqueue("c", &format!("{n}")).await;
        world.bundle.clock.advance(af_domain::time::Millis::new(1));
    }
    let page = world.api.get("/v1/queue/messages?conversationId=c&limit=200").send().await.body_of(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 150);
    let page = world.api.get("/v1/queue/messages?status=queued&limit=200").send().await.body_of(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 150);
    let answer = world.api.get("/v1/queue/messages?status=queued&limit=201").send().await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/limit"));
}

#[tokio::test]
async fn dead_letters_of_all_conversations_are_listed_newest_first() {
    let world = World::new().await;
    let mut dead = Vec::new();
    for n in 0..5 {
        let conversation = format!("c-{n}");
        dead.push(world.enqueue(&conversation, "poison").await);
        let token = world.worker(&format!("w-{n}")).await;
        world.dead_letter_one(&token, None).await;
        world.bundle.clock.advance(af_domain::time::Millis::new(1));
    }
    dead.reverse();
    let (ids, _) = all(&world, "/v1/queue/messages?status=dead_letter", "messageId").await;
    assert_eq!(ids, dead);
    let page = world.api.get("/v1/queue/messages?status=dead_letter&limit=1").send().await.body_of(200);
    let first = &page["items"][0];
    assert_eq!((&first["status"], &first["lastError"]), (&json!("dead_letter"), &json!("no")));
    assert!(page["nextCursor"].is_string());
}

#[tokio::test]
async fn a_cursor_is_valid_for_its_own_list_only() {
    let world = World::new().await;
    for key in ["a", "b", "c"] {
        world.agent(key).await;
    }
    let page = world.api.get("/v1/agents?limit=2").send().await.body_of(200);
    let cursor = page["nextCursor"].as_str().unwrap();
    let mut forged = cursor.to_owned();
    forged.replace_range(0..1, if cursor.starts_with('A') { "B" } else { "A" });
    for path in [
        format!("/v1/agents?cursor={forged}"),
        "/v1/agents?cursor=c3VwcG9ydA".to_owned(),
        "/v1/agents?cursor=".to_owned(),
        format!("/v1/workers?cursor={cursor}"),
        format!("/v1/keys?cursor={cursor}"),
        format!("/v1/queue/messages?status=queued&cursor={cursor}"),
        format!("/v1/queue/messages?conversationId=c&cursor={cursor}"),
    ] {
        let answer = world.api.get(&path).send().await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/cursor"), "{path}");
    }
    world.api.get(&format!("/v1/agents?cursor={cursor}")).send().await.body_of(200);
    assert_eq!(
        world.api.get(&format!("/v1/agents?cursor={cursor}")).send().await.body["items"][0]["agentKey"],
        "c"
    );
}

#[tokio::test]
async fn every_list_refuses_a_cursor_that_it_has_not_made() {
    let document: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
    let world = World::new().await;
    world.agent("a").await;
    world.bind("ann", "support").await;
    let page = world.api.get("/v1/agents?limit=1").send().await.body_of(200);
    let foreign = page["nextCursor"].as_str().unwrap();
    let (head, last) = foreign.split_at(foreign.len() - 1);
    let tampered = format!("{head}{}", if last == "A" { "B" } else { "A" });
    let mut checked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let parameters = operations["get"]["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let filled = parameters.iter().filter(|p| p["in"] == "path").fold(path.clone(), |path, parameter| {
            let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
            path.replace(&name, parameter["example"].as_str().unwrap())
        });
        // The list of the whole queue needs a state, that of dispatches an agent, and that of versions a document.
        let required = match path.as_str() {
            "/v1/queue/messages" => "&status=queued",
            "/v1/push-dispatches" => "&agentKey=support",
            path if path.ends_with("/document-versions") => "&path=USER.md",
            _ => "",
        };
        for parameter in parameters.iter().filter_map(|p| p["name"].as_str()).filter(|n| n.ends_with("ursor"))
        {
            for cursor in [foreign, &tampered, "x"] {
                if path == "/v1/agents" && cursor == foreign {
                    continue;
                }
                let refused = world.api.get(&format!("{filled}?{parameter}={cursor}{required}")).send().await;
                assert_eq!(refused.problem(), (422, "invalid_field"), "{path} {cursor}: {}", refused.body);
                assert_eq!(refused.pointer(), format!("/{parameter}"), "{path}");
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} cursors were found");
}

/// Items of a long list.
const LONG_LIST: usize = 10_000;
/// Items of the list that is walked item by item, unless `LARGE_TABLES` is 1.
const LIST_OF_SINGLE_PAGES: usize = 1_000;
/// While a list is walked, an item is added after each of this many pages.
const ADDED_ONE_IN: usize = 10;

/// Stores keys behind all others, as many as there are milliseconds, and returns their ids in order.
async fn add_keys(world: &World, count: usize) -> Vec<String> {
    let mut added = Vec::new();
    for _ in 0..count {
        world.advance(af_domain::time::Millis::new(1));
        let now = world.app.now();
        let key = ApiKey {
            id: world.app.entropy.ulid(now),
            name: "n".to_owned(),
            scopes: vec!["read".to_owned()],
            secret_hash: [1; 32],
            created_at: now,
            expires_at: None,
            company: None,
        };
        world.app.store.put_api_key(&key).await.unwrap();
        added.push(key.id);
    }
    added
}

/// Walks the list of keys from its beginning while others are added: each key is listed once, in order, and none is missed.
async fn walk_keys(world: &World, limit: usize, before: &mut Vec<String>) {
    let (mut found, mut query, mut added) = (Vec::new(), String::new(), Vec::new());
    for pages in 0_usize.. {
        let page = world.api.get(&format!("/v1/keys?limit={limit}{query}")).send().await.body_of(200);
        let ids = each(&page, "keyId");
        assert!(ids.len() <= limit);
        found.extend(ids.into_iter().map(str::to_owned));
        if pages.is_multiple_of(ADDED_ONE_IN) && found.len() < before.len() {
            added.extend(add_keys(world, 1).await);
        }
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        query = format!("&cursor={cursor}");
    }
    assert!(!added.is_empty());
    before.extend(added);
    assert!(found == *before, "{} of {} keys with the limit {limit}", found.len(), before.len());
}

#[tokio::test]
async fn ten_thousand_keys_are_listed_once_with_every_limit_while_others_are_added() {
    let world = World::new().await;
    let has_large_tables = std::env::var("LARGE_TABLES").is_ok_and(|v| v == "1");
    let first = if has_large_tables { LONG_LIST } else { LIST_OF_SINGLE_PAGES };
    let mut before = add_keys(&world, first).await;
    walk_keys(&world, 1, &mut before).await;
    before.extend(add_keys(&world, LONG_LIST - first).await);
    for limit in [7, 100, 200] {
        walk_keys(&world, limit, &mut before).await;
    }
    assert!(before.len() > LONG_LIST);
}

#[tokio::test]
async fn a_list_with_the_newest_first_shows_no_old_message_twice_while_others_are_added() {
    const MESSAGES: usize = 150;
    let world = World::new().await;
    let mut before = Vec::new();
    let add = async || {
        world.advance(af_domain::time::Millis::new(1));
        world.enqueue("c", "hello").await
    };
    for _ in 0..MESSAGES {
        before.insert(0, add().await);
    }
    for limit in [1, 7, 100, 200] {
        let (mut found, mut query, mut added) = (Vec::new(), String::new(), Vec::new());
        loop {
            let path = format!("/v1/queue/messages?conversationId=c&limit={limit}{query}");
            let page = world.api.get(&path).send().await.body_of(200);
            found.extend(each(&page, "messageId").into_iter().map(str::to_owned));
            if added.len() < ADDED_ONE_IN {
                added.insert(0, add().await);
            }
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            query = format!("&cursor={cursor}");
        }
        assert!(found == before, "{} of {} messages with the limit {limit}", found.len(), before.len());
        before.splice(0..0, added);
    }
}

#[tokio::test]
async fn a_list_of_the_whole_deployment_needs_a_status_that_is_not_final() {
    let world = World::new().await;
    for query in ["", "?status=done", "?status=cancelled"] {
        let answer = world.api.get(&format!("/v1/queue/messages{query}")).send().await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/status"), "{query}");
    }
    let answer = world.api.get("/v1/queue/messages?status=lost").send().await;
    assert!(answer.detail().contains("`dead_letter`"), "{}", answer.detail());
    let none = world.api.get("/v1/queue/messages?conversationId=unknown").send().await.body_of(200);
    assert_eq!(none, json!({"items": []}));
}

#[tokio::test]
async fn the_queue_statistics_are_zero_before_the_first_count() {
    let world = World::new().await;
    let stats = world.api.get("/v1/queue/stats").send().await.body_of(200);
    let expected = json!({
        "queuedReady": 0, "queuedScheduled": 0, "processing": 0, "deadLetter": 0, "oldestReadyAgeMs": null,
        "oldestWaitingAgeMs": null, "asOf": null,
    });
    assert_eq!(stats, expected);
    world.enqueue("c", "hello").await;
    world.bundle.clock.advance(af_domain::time::Millis::new(1_500));
    let stats = world.api.get("/v1/queue/stats").send().await.body_of(200);
    assert_eq!(stats["oldestReadyAgeMs"], Value::from(1_500));
}
