//! Drafts of replies, and the button that stops them.

use af_domain::time::Millis;
use af_telegram::{SendDraft, TelegramError};
use serde_json::{Value, json};

use super::support::{Fixture, Hook, answer, http};

fn draft(chat_id: i64, draft_id: i64, text: &str) -> SendDraft<'_> {
    SendDraft { chat_id, draft_id, text }
}

impl Fixture {
    /// The drafts of a chat, as the control route lists them.
    async fn drafts(&self, chat: i64) -> Vec<Value> {
        let url = format!("{}/_local/telegram/drafts?chatId={chat}", self.url);
        answer(http().get(url)).await.1["drafts"].as_array().unwrap().clone()
    }

    async fn presses_stop(&self, chat: i64, draft: i64) -> (u16, Value) {
        let body = json!({"botIdentity": self.bot.id.to_string(), "chatId": chat, "draftId": draft});
        self.post_local("stops", body).await
    }
}

#[tokio::test]
async fn a_draft_is_shown_in_its_newest_state_and_an_empty_one_as_a_placeholder() {
    let f = Fixture::new().await;
    let bot = f.client();
    bot.send_draft(&draft(5, 7, "")).await.unwrap();
    assert_eq!(f.drafts(5).await[0]["text"], "Thinking…");
    bot.send_draft(&draft(5, 8, "another")).await.unwrap();
    bot.send_draft(&draft(6, 7, "of another chat")).await.unwrap();
    bot.send_draft(&draft(5, 7, "so far")).await.unwrap();
    let shown: Vec<_> = f.drafts(5).await.iter().map(|d| (d["text"].clone(), d["changes"].clone())).collect();
    assert_eq!(shown, [(json!("another"), json!(1)), (json!("so far"), json!(2))]);
    assert!(f.telegram.outbox(None, None, 10).is_empty(), "a draft is no message");
}

#[tokio::test]
async fn a_rich_draft_has_exactly_one_form() {
    let f = Fixture::new().await;
    let rich = |message: Value| json!({"chat_id": 5, "draft_id": 1, "rich_message": message});
    let (status, _) = f.call("sendRichMessageDraft", rich(json!({"markdown": "**so** far"}))).await;
    assert_eq!((status, &f.drafts(5).await[0]["text"]), (200, &json!("**so** far")));
    for message in [json!({}), json!({"html": "a", "markdown": "b"}), json!({"html": "x".repeat(32_769)})] {
        assert_eq!(f.call("sendRichMessageDraft", rich(message)).await.0, 400);
    }
}

#[tokio::test]
async fn a_draft_without_an_id_in_a_group_or_with_a_long_text_is_refused() {
    let f = Fixture::new().await;
    let bot = f.client();
    let long = "ä".repeat(4_097);
    for (refused, words) in [
        (draft(5, 0, ""), "invalid draft_id specified"),
        (draft(-5, 1, ""), "TEXTDRAFT_PEER_INVALID"),
        (draft(5, 1, &long), "message is too long"),
    ] {
        match bot.send_draft(&refused).await {
            Err(TelegramError::BadRequest { description }) => {
                assert_eq!(description, format!("Bad Request: {words}"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(f.telegram.drafts().is_empty());
}

#[tokio::test]
async fn the_stop_button_of_a_draft_is_an_update() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    f.client().send_draft(&draft(5, 7, "so far")).await.unwrap();
    let (status, pushed) = f.presses_stop(5, 7).await;
    assert_eq!((status, &pushed["status"]), (200, &json!(200)), "{pushed}");
    let (_, update) = hook.next().await;
    let pressed = json!({"chat": {"id": 5, "type": "private"}, "draft_id": 7});
    assert_eq!(update["stopped_message_generation"], pressed);
    assert_eq!(f.presses_stop(5, 7).await.0, 404, "the draft is gone");
    assert_eq!(f.presses_stop(5, 8).await.0, 404);
    let unknown = json!({"botIdentity": "1", "chatId": 5, "draftId": 7});
    assert_eq!(f.post_local("stops", unknown).await.0, 404);
}

#[tokio::test]
async fn a_draft_ends_with_the_message_or_after_half_a_minute() {
    let f = Fixture::new().await;
    f.client().send_draft(&draft(5, 7, "so far")).await.unwrap();
    f.call("sendMessage", json!({"chat_id": 5, "text": "all"})).await;
    assert_eq!(f.presses_stop(5, 7).await.0, 404, "the message has taken its place");
    f.client().send_draft(&draft(5, 8, "so far")).await.unwrap();
    f.clock.advance(Millis::from_secs(30));
    assert_eq!(f.presses_stop(5, 8).await.0, 404, "it has disappeared");
}
