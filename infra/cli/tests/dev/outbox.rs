//! The commands for outboxes, against replies that Telegram refuses, delays or does not confirm.

use serde_json::{Value, json};

use crate::support::{Dev, eventually};

impl Dev {
    /// Makes the next call of `sendMessage` fail.
    async fn next_send_fails(&self, fault: Value) {
        let mut fault = fault;
        fault["method"] = "sendMessage".into();
        let (status, answer) = self.call("POST", "/_local/telegram/faults", Some(fault)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Sends a message of the demo user, and returns its id after its delivery has got this state.
    async fn delivered_as(&self, text: &str, state: &str) -> String {
        let demo = &self.file["demo"];
        let message = json!({"botIdentity": demo["botIdentity"], "chatId": demo["chatId"], "text": text});
        let (_, pushed) = self.call("POST", "/_local/telegram/messages", Some(message)).await;
        let id = pushed["body"]["messageId"].as_str().unwrap_or_else(|| panic!("{pushed}")).to_owned();
        eventually(&format!("a delivery that is {state}"), async || {
            let message = self.message(&id).await;
            (message["delivery"]["state"] == state).then_some(())
        })
        .await;
        id
    }
}

#[tokio::test]
async fn a_refused_reply_is_shown_with_its_reason_and_resent_with_the_program() {
    let dev = Dev::start(&[]).await;
    let chat = dev.file["demo"]["chatId"].as_str().unwrap();
    dev.next_send_fails(json!({"errorCode": 403, "description": "Forbidden: bot was blocked by the user"}))
        .await;
    let id = dev.delivered_as("hello", "failed").await;
    let shown = dev.printed(&["queue", "show", &id]);
    assert!(shown.contains("failed") && shown.contains("blocked"), "{shown}");
    let resent = dev.printed(&["outbox", "resend", &id]);
    let bot = dev.file["demo"]["botIdentity"].as_str().unwrap();
    assert_eq!(resent, format!("the reply of {id} waits for chat {bot}:{chat}\n"));
    eventually("the reply", async || (dev.outbox(chat).await == ["echo: hello"]).then_some(())).await;
    let unknown = dev.cli(&["outbox", "resend", "none"]);
    assert_eq!(unknown.status.code(), Some(3), "{unknown:?}");
}

#[tokio::test]
async fn a_reply_that_waits_is_listed_and_dropped_with_the_program() {
    let dev = Dev::start(&[]).await;
    let demo = &dev.file["demo"];
    let chat = format!("{}:{}", demo["botIdentity"].as_str().unwrap(), demo["chatId"].as_str().unwrap());
    dev.next_send_fails(json!({"errorCode": 429, "description": "Too Many Requests", "retryAfter": 3_600}))
        .await;
    let id = dev.delivered_as("hello", "waiting").await;
    eventually("an outbox that waits", async || {
        let listed = dev.json(&["outbox", "list"]);
        let first = &listed["items"][0];
        (first["chat"] == chat && first["waitsUntil"].is_u64() && first["items"][0]["messageId"] == id)
            .then_some(())
    })
    .await;
    let listed = dev.printed(&["outbox", "list"]);
    let row = listed.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{listed}"));
    assert!(row.contains(&chat) && row.contains("waiting") && row.contains("demo-user"), "{row}");

    let dropped = dev.printed(&["outbox", "drop", &chat, "--yes"]);
    assert_eq!(dropped, format!("the reply of {id} is removed from the outbox of {chat}; parts sent: 0\n"));
    assert_eq!(dev.message(&id).await["delivery"]["state"], "dropped");
    let again = dev.cli(&["outbox", "drop", &chat, "--yes"]);
    assert_eq!(again.status.code(), Some(3), "{again:?}");
    let malformed = dev.cli(&["outbox", "drop", "1001", "--yes"]);
    assert!(
        !malformed.status.success()
            && String::from_utf8_lossy(&malformed.stderr).contains("<botIdentity>:<chatId>"),
        "{malformed:?}"
    );
}
