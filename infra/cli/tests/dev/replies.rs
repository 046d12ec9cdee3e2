//! Messages from the command line and from Telegram, and the replies of the agent.

use std::time::Instant;

use serde_json::json;

use crate::support::{Dev, eventually};

#[tokio::test]
async fn the_first_message_gets_a_reply_and_the_next_one_is_answered_by_the_warm_worker() {
    let dev = Dev::start(&[]).await;
    let first = dev.cli(&["chat", "demo", "hello"]);
    assert_eq!(String::from_utf8_lossy(&first.stdout), "echo: hello\n", "{first:?}");
    let warm = dev.workers().await;
    #[allow(clippy::disallowed_methods, reason = "the limit is in real time")]
    let began = Instant::now();
    let second = dev.cli(&["chat", "demo", "again"]);
    assert_eq!(String::from_utf8_lossy(&second.stdout), "echo: again\n", "{second:?}");
    assert!(began.elapsed().as_secs_f64() < 3.0, "the warm worker took {:?}", began.elapsed());
    let now = dev.workers().await;
    assert_eq!((now.len(), &now[0]["workerId"]), (1, &warm[0]["workerId"]), "the same worker answered");
}

#[tokio::test]
async fn a_repeated_telegram_update_is_answered_once() {
    let dev = Dev::start(&[]).await;
    let demo = &dev.file["demo"];
    let chat = demo["chatId"].as_str().unwrap();
    let arrives = json!({
        "botIdentity": demo["botIdentity"], "chatId": chat, "userId": chat, "text": "hi", "updateId": 4711,
    });
    let (_, first) = dev.call("POST", "/_local/telegram/messages", Some(arrives.clone())).await;
    assert_eq!(first["status"], 200, "{first}");
    eventually("the answer", async || (!dev.outbox(chat).await.is_empty()).then_some(())).await;
    let (_, again) = dev.call("POST", "/_local/telegram/messages", Some(arrives)).await;
    assert_eq!(again["status"], 200, "{again}");
    let list = "/v1/queue/messages?conversationId=user-agent%3Ademo%3Ademo-user";
    let messages = dev.get(list).await;
    assert_eq!(messages["items"].as_array().unwrap().len(), 1, "{messages}");
    // The reply to a later message comes after any effect of the repetition.
    let later = json!({"botIdentity": demo["botIdentity"], "chatId": chat, "userId": chat, "text": "bye"});
    dev.call("POST", "/_local/telegram/messages", Some(later)).await;
    eventually("the second reply", async || (dev.outbox(chat).await.len() >= 2).then_some(())).await;
    assert_eq!(dev.outbox(chat).await, ["echo: hi", "echo: bye"]);
}

#[tokio::test]
async fn a_photo_is_fetched_and_its_caption_is_answered() {
    let dev = Dev::start(&[]).await;
    let demo = &dev.file["demo"];
    let chat = demo["chatId"].as_str().unwrap();
    let bot = demo["botIdentity"].as_str().unwrap();
    let upload = format!("{}/_local/telegram/files?botIdentity={bot}&fileName=cat.jpg", dev.url());
    let made = reqwest::Client::new().post(upload).body("a cat").send().await.unwrap();
    let file = made.json::<serde_json::Value>().await.unwrap();
    let sent = json!({
        "botIdentity": bot, "chatId": chat, "text": "my cat", "file": {"kind": "photo", "fileId": file["fileId"]},
    });
    let (_, pushed) = dev.call("POST", "/_local/telegram/messages", Some(sent)).await;
    let id = pushed["body"]["messageId"].as_str().unwrap_or_else(|| panic!("{pushed}"));
    let done = dev.message_in(id, "done").await;
    let photo = &done["payload"]["attachments"][0];
    assert_eq!(
        (&photo["kind"], &photo["status"], &photo["sizeBytes"], &photo["mimeType"]),
        (&json!("photo"), &json!("ready"), &json!(5), &json!("image/jpeg"))
    );
    eventually("the answer", async || (!dev.outbox(chat).await.is_empty()).then_some(())).await;
    assert_eq!(dev.outbox(chat).await, ["echo: my cat"]);
}

#[tokio::test]
async fn a_wrong_or_missing_secret_gets_401_and_writes_nothing() {
    let dev = Dev::start(&["--no-workers"]).await;
    let bot = dev.file["demo"]["botIdentity"].as_str().unwrap();
    let url = format!("{}/agent-factory/telegram/webhook/{bot}", dev.file["url"].as_str().unwrap());
    let update = json!({"update_id": 1, "message": {
        "message_id": 1, "date": 1, "text": "hi",
        "chat": {"id": 1001, "type": "private"}, "from": {"id": 1001, "is_bot": false, "first_name": "U"},
    }});
    let http = reqwest::Client::new();
    let header = "X-Telegram-Bot-Api-Secret-Token";
    let without = http.post(&url).json(&update).send().await.unwrap();
    let wrong = http.post(&url).header(header, "wrong").json(&update).send().await.unwrap();
    let unknown = http.post(url.replace(bot, "999")).header(header, "x").json(&update).send().await.unwrap();
    assert_eq!([without.status(), wrong.status(), unknown.status()].map(|s| s.as_u16()), [401, 401, 401]);
    let list = "/v1/queue/messages?conversationId=user-agent%3Ademo%3Ademo-user";
    assert_eq!(dev.get(list).await["items"], json!([]));
}

#[tokio::test]
async fn a_message_that_waits_is_a_draft_whose_stop_button_cancels_it() {
    let dev = Dev::start(&["--no-workers"]).await;
    let demo = &dev.file["demo"];
    let chat = demo["chatId"].as_str().unwrap();
    let sent = json!({"botIdentity": demo["botIdentity"], "chatId": chat, "text": "hi"});
    let (_, pushed) = dev.call("POST", "/_local/telegram/messages", Some(sent)).await;
    let id = pushed["body"]["messageId"].as_str().unwrap_or_else(|| panic!("{pushed}"));
    let list = format!("/_local/telegram/drafts?chatId={chat}");
    let draft = eventually("a draft", async || {
        let drafts = dev.get(&list).await["drafts"].clone();
        drafts.as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!(draft["text"], "Thinking…");
    let pressed = json!({"botIdentity": demo["botIdentity"], "chatId": chat, "draftId": draft["draftId"]});
    let (_, stopped) = dev.call("POST", "/_local/telegram/stops", Some(pressed)).await;
    assert_eq!(stopped["body"], json!({"ok": true, "cancelled": 1}), "{stopped}");
    assert_eq!(dev.message(id).await["status"], "cancelled");
}
