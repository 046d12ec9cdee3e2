//! Many conversations with few workers.

use std::time::Instant;

use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::{Dev, eventually};

const CONVERSATIONS: usize = 100;
const MESSAGES_EACH: usize = 10;
/// The number of concurrent calls that fill the queue.
const CONCURRENT_CALLS: usize = 16;

#[tokio::test]
async fn eight_workers_run_a_thousand_messages_in_order_and_once() {
    let dev = Dev::start(&[]).await;
    // Workers release a quiet conversation at once when others wait. Each conversation is quiet after its messages.
    let policies = json!({"scaling": {"maxWorkers": 8, "spawnStep": 8, "switchAfterQuietMs": 0}});
    let (status, answer) = dev.call("PUT", "/v1/config/policies", Some(policies)).await;
    assert_eq!(status, 200, "{answer}");
    // Functions cache the policies for ten seconds.
    dev.advance(std::time::Duration::from_secs(11)).await;
    #[allow(clippy::disallowed_methods, reason = "the run prints its rate")]
    let began = Instant::now();
    let dev_ref = &dev;
    let filled = (0..CONVERSATIONS).map(|c| async move {
        for m in 0..MESSAGES_EACH {
            let body = json!({
                "conversationId": format!("load:{c}"),
                "agentKey": "demo",
                "payload": {"provider": "telegram", "providerUserId": chat(c), "messageText": format!("{c}-{m}")},
            });
            let (status, answer) = dev_ref.call("POST", "/v1/messages", Some(body)).await;
            assert_eq!(status, 202, "{answer}");
        }
    });
    futures::stream::iter(filled).buffer_unordered(CONCURRENT_CALLS).collect::<Vec<()>>().await;
    eprintln!("enqueued {} messages in {:.1?}", CONVERSATIONS * MESSAGES_EACH, began.elapsed());
    eventually("the end of all messages", async || {
        let stats = dev.get("/v1/queue/stats").await;
        let open = ["queuedReady", "queuedScheduled", "processing"].map(|f| stats[f].as_i64().unwrap());
        (open == [0, 0, 0]).then_some(())
    })
    .await;
    let took = began.elapsed();
    let rate = (CONVERSATIONS * MESSAGES_EACH) as f64 / took.as_secs_f64();
    eprintln!("{} messages in {took:.1?}: {rate:.0} messages/s", CONVERSATIONS * MESSAGES_EACH);

    assert!(dev.workers().await.len() <= 8);
    for c in 0..CONVERSATIONS {
        let page = dev.get(&format!("/v1/queue/messages?conversationId=load%3A{c}")).await;
        let mut messages = page["items"].as_array().unwrap().clone();
        messages.reverse();
        assert!(messages.iter().all(|m| m["status"] == "done"), "conversation {c}: {page}");
        let text = |m: &Value| m["payload"]["messageText"].as_str().unwrap().to_owned();
        let expected: Vec<String> = (0..MESSAGES_EACH).map(|m| format!("{c}-{m}")).collect();
        assert_eq!(messages.iter().map(text).collect::<Vec<_>>(), expected);
        let ended: Vec<_> = messages.iter().map(|m| m["finishedAt"].as_u64().unwrap()).collect();
        assert!(ended.is_sorted(), "conversation {c} ended out of order: {ended:?}");
        let replies: Vec<String> = expected.iter().map(|t| format!("echo: {t}")).collect();
        assert_eq!(dev.outbox(&chat(c)).await, replies, "each message has one reply, in order");
    }
}

fn chat(conversation: usize) -> String {
    format!("{}", 50_000 + conversation)
}
