use std::collections::BTreeSet;

use af_domain::time::Millis;
use af_tests::bundle::START;
use serde_json::json;

use crate::api::{World, each, message};

/// Every message of a list of the whole deployment, with `limit` items a page, in the order of the pages.
async fn listed(world: &World, status: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut query = String::new();
    for _ in 0..200 {
        let path = format!("/v1/queue/messages?status={status}&limit={limit}{query}");
        let page = world.api.get(&path).send().await.body_of(200);
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["status"], status);
        }
        assert!(each(&page, "messageId").len() <= limit);
        found.extend(each(&page, "messageId").into_iter().map(str::to_owned));
        match page["nextCursor"].as_str() {
            Some(cursor) => query = format!("&cursor={cursor}"),
            None => return found,
        }
    }
    panic!("the list of {status} messages never ends");
}

#[tokio::test]
async fn each_queued_message_is_listed_once_with_any_page_size() {
    let world = World::new().await;
    let mut sent = BTreeSet::new();
    for conversation in 0..9 {
        for n in 0..=conversation % 4 {
            sent.insert(world.enqueue(&format!("c-{conversation}"), &format!("{n}")).await);
            world.bundle.clock.advance(Millis::new(1));
        }
    }
    let mut later = message("later", "hello");
    later["scheduledFor"] = json!(START.as_millis() + Millis::from_days(300).as_millis());
    let later = world.api.post("/v1/messages", later).send().await.body_of(202);
    sent.insert(later["messageId"].as_str().unwrap().to_owned());
    // Three conversations get an owner, and their first message runs.
    for id in ["w-1", "w-2", "w-3"] {
        let token = world.worker(id).await;
        let job = world.poll(&token, json!({})).await["job"].clone();
        assert!(sent.remove(job["messageId"].as_str().unwrap()));
    }
    for limit in [1, 2, 3, 7, 200] {
        let found = listed(&world, "queued", limit).await;
        assert_eq!(found.len(), sent.len(), "no message is listed twice with pages of {limit}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), sent, "pages of {limit}");
    }
}

#[tokio::test]
async fn the_messages_of_a_conversation_are_listed_in_the_order_in_which_they_run() {
    let world = World::new().await;
    let mut urgent = message("c", "urgent");
    let first = world.enqueue("c", "first").await;
    world.bundle.clock.advance(Millis::new(1));
    let second = world.enqueue("c", "second").await;
    urgent["priority"] = json!(90);
    let urgent = world.api.post("/v1/messages", urgent).send().await.body_of(202);
    let urgent = urgent["messageId"].as_str().unwrap().to_owned();
    assert_eq!(listed(&world, "queued", 1).await, [urgent, first, second]);
}

#[tokio::test]
async fn a_page_continues_after_the_last_one_although_the_queue_has_changed() {
    let world = World::new().await;
    let mut sent = Vec::new();
    for n in 0..4 {
        sent.push(world.enqueue("c", &format!("{n}")).await);
        world.bundle.clock.advance(Millis::new(1));
    }
    let page = world.api.get("/v1/queue/messages?status=queued&limit=2").send().await.body_of(200);
    assert_eq!(each(&page, "messageId"), sent[..2]);
    // The last message of the page is done before the next page is requested.
    let token = world.worker("w").await;
    for conversation in [None, Some("c")] {
        world.complete_one(&token, conversation, json!([])).await;
    }
    let cursor = page["nextCursor"].as_str().unwrap();
    let path = format!("/v1/queue/messages?status=queued&limit=2&cursor={cursor}");
    let next = world.api.get(&path).send().await.body_of(200);
    assert_eq!(each(&next, "messageId"), sent[2..]);
}

#[tokio::test]
async fn running_messages_are_listed_by_worker() {
    let world = World::new().await;
    let mut running = Vec::new();
    for n in 0..5 {
        world.enqueue(&format!("c-{n}"), "hello").await;
        world.enqueue(&format!("c-{n}"), "wait").await;
    }
    for n in 0..5 {
        let token = world.worker(&format!("w-{n}")).await;
        running.push(world.poll(&token, json!({})).await["job"]["messageId"].as_str().unwrap().to_owned());
    }
    world.worker("idle").await;
    for limit in [1, 2, 200] {
        assert_eq!(listed(&world, "processing", limit).await, running, "pages of {limit}");
    }
}
