//! The state that survives a restart.

use serde_json::json;

use super::support::{Fixture, Hook, answer, http};

#[tokio::test]
async fn bots_webhooks_outbox_and_counters_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let hook = Hook::new().await;
    let first = Fixture::at(dir.path()).await;
    first.set_webhook(&hook).await;
    let before = first.write(1, "one").await["updateId"].as_u64().unwrap();
    first.call("sendMessage", json!({"chat_id": 1, "text": "answer", "parse_mode": "HTML"})).await;
    let sent = first.telegram.outbox(None, None, 10);
    drop(first);

    // The emulator restarts twice, so that the rewritten journal is read as well.
    drop(Fixture::at(dir.path()).await);
    let second = Fixture::at(dir.path()).await;
    assert_eq!(second.telegram.outbox(None, None, 10), sent);
    assert_eq!(second.client().get_webhook_info().await.unwrap().url, hook.url);
    assert_eq!(second.write(1, "two").await["updateId"], before + 1);
    let (_, body) = second.call("sendMessage", json!({"chat_id": 1, "text": "again"})).await;
    assert_eq!(body["result"]["message_id"], 4);
}

#[tokio::test]
async fn a_pending_update_is_pushed_after_the_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut hook = Hook::new().await;
    let first = Fixture::at(dir.path()).await;
    let update_id = first.write(1, "waits").await["updateId"].as_u64().unwrap();
    drop(first);

    let second = Fixture::at(dir.path()).await;
    second.telegram.resume();
    assert!(hook.is_quiet());
    second.set_webhook(&hook).await;
    assert_eq!(hook.next().await.1["update_id"], update_id);
}

#[tokio::test]
async fn resume_pushes_to_the_stored_webhook() {
    let dir = tempfile::tempdir().unwrap();
    let mut hook = Hook::new().await;
    let first = Fixture::at(dir.path()).await;
    let journal = dir.path().join("telegram.jsonl");
    first.write(1, "waits").await;
    let mut written = std::fs::read_to_string(&journal).unwrap();
    drop(first);
    // This is the state after a kill between the setting of the webhook and the push.
    let bot = written.lines().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        (event["event"] == "bot").then(|| event["id"].as_i64().unwrap())
    });
    let set = json!({"event": "webhook", "botId": bot, "webhook":
        {"url": hook.url, "secretToken": null, "maxConnections": 1, "allowedUpdates": []}});
    written.push_str(&format!("{set}\n"));
    std::fs::write(&journal, written).unwrap();

    let second = Fixture::at(dir.path()).await;
    second.telegram.resume();
    let (headers, update) = hook.next().await;
    assert_eq!(update["message"]["text"], "waits");
    assert!(!headers.contains_key("x-telegram-bot-api-secret-token"));
}

#[tokio::test]
async fn files_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = Fixture::at(dir.path()).await;
    let stored = first.telegram.add_file(first.bot.id, "a.b/c", "content".into()).await.unwrap();
    drop(first);
    let second = Fixture::at(dir.path()).await;
    let url = format!("{}/file/bot{}/{}", second.url, second.bot.token, stored.file_path);
    assert_eq!(http().get(url).send().await.unwrap().text().await.unwrap(), "content");
}

#[tokio::test]
async fn the_outbox_is_listed_newest_last_and_bounded() {
    let f = Fixture::new().await;
    for n in 0..5 {
        f.call("sendMessage", json!({"chat_id": 1 + n % 2, "text": n.to_string()})).await;
    }
    let list = |query: String| answer(http().get(format!("{}/_local/telegram/outbox?{query}", f.url)));
    let (_, listed) = list("chatId=1&limit=2".to_owned()).await;
    let texts: Vec<_> =
        listed["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["2", "4"]);
    let (_, listed) = list(format!("botIdentity={}", f.bot.id)).await;
    assert_eq!(listed["messages"].as_array().unwrap().len(), 5);
    assert_eq!(listed["messages"][0]["botIdentity"], f.bot.id.to_string());
    assert_eq!(listed["messages"][0]["chatId"], 1);
    let (_, listed) = list("botIdentity=1".to_owned()).await;
    assert!(listed["messages"].as_array().unwrap().is_empty());
}
