//! The delivery of updates to a webhook, or by getUpdates without a webhook.

use af_domain::ids::BotIdentity;
use af_domain::time::Millis;
use af_emulator_telegram::Options;
use af_telegram::Ingress;
use serde_json::json;

use super::support::{Fixture, Hook, NOW, SECRET, answer, http};

#[tokio::test]
async fn a_users_message_reaches_the_webhook_in_telegrams_form() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    let body =
        json!({"botIdentity": f.bot.id, "chatId": 77, "userId": "77", "text": "hello", "username": "ada"});
    let (_, pushed) = f.post_local("messages", body).await;
    let (headers, update) = hook.next().await;
    assert_eq!(headers["x-telegram-bot-api-secret-token"], SECRET);
    assert_eq!(
        pushed,
        json!({
            "updateId": update["update_id"], "status": 200, "body": {"ok": true, "sawUpdate": update["update_id"]},
        })
    );
    assert_eq!(update["message"]["date"], NOW / 1_000);
    let bot = BotIdentity::parse(f.bot.id.to_string()).unwrap();
    let Ingress::Message(message) = af_telegram::read(&bot, update.to_string().as_bytes()) else {
        panic!("{update}")
    };
    assert_eq!(
        (message.origin.chat_id, message.origin.user_id, message.origin.message_id, message.text.as_str()),
        (77, 77, 1, "hello")
    );
    assert_eq!(
        (message.origin.chat_type.as_str(), message.origin.username.as_deref()),
        ("private", Some("ada"))
    );
}

#[tokio::test]
async fn a_file_is_delivered_in_telegrams_form_with_the_text_as_its_caption() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    let bot = BotIdentity::parse(f.bot.id.to_string()).unwrap();
    for kind in ["photo", "video", "animation", "video_note", "sticker", "audio", "voice", "document"] {
        let file = json!({"kind": kind, "fileId": "an-id", "fileName": "a.bin", "mimeType": "image/png"});
        let body = json!({"botIdentity": f.bot.id, "chatId": 77, "text": "look", "file": file});
        f.post_local("messages", body).await;
        let (_, update) = hook.next().await;
        assert!(update["message"]["text"].is_null(), "{update}");
        let Ingress::Message(message) = af_telegram::read(&bot, update.to_string().as_bytes()) else {
            panic!("{update}")
        };
        let attachment = message.attachment.unwrap();
        assert_eq!((message.text.as_str(), attachment.kind.as_str()), ("look", kind));
        assert_eq!(attachment.telegram_file_id, "an-id");
        assert_eq!(attachment.file_name.is_some(), kind != "photo", "a photo has no name");
    }
    let (status, _) = f
        .post_local(
            "messages",
            json!({"botIdentity": f.bot.id, "chatId": 77, "file": {"kind": "tune", "fileId": "x"}}),
        )
        .await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn update_ids_count_per_bot_and_message_ids_per_chat() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    let first = f.write(1, "a").await["updateId"].as_u64().unwrap();
    f.call("sendMessage", json!({"chat_id": 1, "text": "answer"})).await;
    f.write(2, "b").await;
    f.write(1, "c").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (_, update) = hook.next().await;
        seen.push((
            update["update_id"].as_u64().unwrap() - first,
            update["message"]["message_id"].as_i64().unwrap(),
        ));
    }
    assert_eq!(seen, [(0, 1), (1, 1), (2, 3)]);
}

#[tokio::test]
async fn an_update_id_can_be_repeated_and_the_next_id_follows_the_highest() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    let high = 1_000_000_000;
    for update_id in [high, high] {
        let body = json!({"botIdentity": f.bot.id, "chatId": 1, "text": "twice", "updateId": update_id});
        assert_eq!(f.post_local("messages", body).await.1["updateId"], high);
        assert_eq!(hook.next().await.1["update_id"], high);
    }
    assert_eq!(f.write(1, "next").await["updateId"], high + 1);
}

#[tokio::test]
async fn a_raw_update_is_pushed_unchanged() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    let raw = json!({"update_id": 5, "callback_query": {"id": "x"}});
    let (_, pushed) = f.post_local("messages", json!({"botIdentity": f.bot.id, "raw": raw})).await;
    assert_eq!(pushed["updateId"], 5);
    assert_eq!(hook.next().await.1, raw);
    let unnumbered = json!({"edited_message": {"chat": {"id": 3}}});
    let (_, pushed) = f.post_local("messages", json!({"botIdentity": f.bot.id, "raw": unnumbered})).await;
    assert_eq!(hook.next().await.1["update_id"], pushed["updateId"]);
}

#[tokio::test]
async fn a_failed_push_is_retried_in_order_and_the_first_answer_is_reported() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    hook.will_answer(&[500, 401, 302]);
    let pushed = f.write(1, "first").await;
    assert_eq!((pushed["status"].as_u64(), pushed["body"]["ok"].as_bool()), (Some(500), Some(false)));
    assert_eq!(f.write(1, "second").await["status"], 200);
    let mut texts = Vec::new();
    for _ in 0..5 {
        texts.push(hook.next_text().await);
    }
    assert_eq!(texts, ["first", "first", "first", "first", "second"]);
    let first = &f.updates(&format!("botIdentity={}", f.bot.id)).await[0];
    assert_eq!(
        [&first["state"], &first["attempts"], &first["lastStatus"]],
        [&json!("delivered"), &json!(4), &json!(200)]
    );
    let info = f.client().get_webhook_info().await.unwrap();
    assert_eq!(info.pending_update_count, 0);
    assert_eq!(info.last_error_message.as_deref(), Some("Wrong response from the webhook: 302 Found"));
    assert_eq!(info.last_error_date, Some(NOW / 1_000));
}

#[tokio::test]
async fn an_update_that_never_succeeds_is_given_up_and_the_next_one_is_pushed() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    hook.will_answer(&[503; 4]);
    f.write(1, "lost").await;
    assert_eq!(f.write(1, "kept").await["status"], 200);
    for expected in ["lost", "lost", "lost", "lost", "kept"] {
        assert_eq!(hook.next_text().await, expected);
    }
    let (_, listed) = answer(http().get(format!("{}/_local/telegram/updates", f.url))).await;
    assert_eq!(listed["updates"][0]["state"], "given_up");
    assert_eq!(listed["updates"][1]["state"], "delivered");
}

#[tokio::test]
async fn a_webhook_that_cannot_be_reached_is_reported_and_another_one_gets_the_update_at_once() {
    // The waits are one hour long, so only the new webhook can end them.
    let hour = Millis::from_secs(3_600);
    let f = Fixture::with(None, Options { max_attempts: 4, backoff: hour, max_backoff: hour }).await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    f.call("setWebhook", json!({"url": format!("http://{closed}/hook")})).await;
    let pushed = f.write(1, "hello").await;
    assert_eq!((pushed["status"].as_u64(), pushed["error"].as_str()), (None, Some("Connection refused")));
    let info = f.client().get_webhook_info().await.unwrap();
    assert_eq!(
        (info.pending_update_count, info.last_error_message.as_deref()),
        (1, Some("Connection refused"))
    );
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    assert_eq!(hook.next_text().await, "hello");
}

#[tokio::test]
async fn updates_that_wait_without_a_webhook_go_to_the_first_webhook() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    let pushed = f.write(1, "early").await;
    assert_eq!((pushed["status"].as_u64(), pushed["error"].as_str()), (None, Some("the bot has no webhook")));
    f.write(2, "dropped?").await;
    assert_eq!(f.client().get_webhook_info().await.unwrap().pending_update_count, 2);
    f.set_webhook(&hook).await;
    let mut texts = [hook.next_text().await, hook.next_text().await];
    texts.sort();
    assert_eq!(texts, ["dropped?", "early"]);
}

#[tokio::test]
async fn dropped_pending_updates_are_not_pushed() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.write(1, "old").await;
    let (_, set) = f.call("setWebhook", json!({"url": hook.url, "drop_pending_updates": true})).await;
    assert_eq!(set, json!({"ok": true, "result": true, "description": "Webhook was set"}));
    let (_, again) = f.call("setWebhook", json!({"url": hook.url})).await;
    assert_eq!(again["description"], "Webhook is already set");
    f.write(1, "new").await;
    assert_eq!(hook.next_text().await, "new");
    assert!(hook.is_quiet());
}

#[tokio::test]
async fn chats_do_not_wait_for_each_other() {
    let f = Fixture::new().await;
    let hook = Hook::new().await;
    f.set_webhook(&hook).await;
    let writes = (1..=40).map(|chat| f.write(chat, "hello"));
    for pushed in futures::future::join_all(writes).await {
        assert_eq!(pushed["status"], 200);
    }
    let updates = f.updates("limit=100").await;
    assert_eq!(updates.iter().filter(|update| update["state"] == "delivered").count(), 40);
}

#[tokio::test]
async fn concurrent_updates_of_one_chat_arrive_in_the_order_of_their_ids() {
    let f = Fixture::new().await;
    let mut hook = Hook::new().await;
    f.set_webhook(&hook).await;
    hook.will_answer(&[500, 200, 500]);
    futures::future::join_all((0..30).map(|_| f.write(1, "hello"))).await;
    let mut ids = Vec::new();
    for _ in 0..32 {
        ids.push(hook.next().await.1["update_id"].as_u64().unwrap());
    }
    assert!(ids.is_sorted() && hook.is_quiet(), "{ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), 30);
}

#[tokio::test]
async fn a_bot_without_a_webhook_fetches_its_updates_and_confirms_them() {
    let f = Fixture::new().await;
    for text in ["a", "b", "c"] {
        f.write(1, text).await;
    }
    let (_, all) = f.call("getUpdates", json!({})).await;
    let all = all["result"].as_array().unwrap().clone();
    assert_eq!(all.len(), 3);
    let next = all[1]["update_id"].as_u64().unwrap() + 1;
    let (_, rest) = f.call("getUpdates", json!({"offset": next})).await;
    assert_eq!(rest["result"], json!([all[2]]));
    let (_, last) = f.call("getUpdates", json!({"offset": -1, "limit": 1})).await;
    assert_eq!(last["result"], json!([all[2]]));
    f.call("getUpdates", json!({"offset": next + 1})).await;
    assert_eq!(f.client().get_webhook_info().await.unwrap().pending_update_count, 0);
}

#[tokio::test]
async fn a_long_poll_answers_when_an_update_arrives() {
    let f = Fixture::new().await;
    let poll = f.call("getUpdates", json!({"timeout": 50}));
    let write = f.write(1, "hello");
    let ((_, polled), _) = tokio::join!(poll, write);
    assert_eq!(polled["result"][0]["message"]["text"], "hello");
}

#[tokio::test]
async fn a_bot_with_a_webhook_cannot_fetch_updates() {
    let f = Fixture::new().await;
    f.set_webhook(&Hook::new().await).await;
    let (status, body) = f.call("getUpdates", json!({})).await;
    assert_eq!(status, 409);
    assert!(body["description"].as_str().unwrap().starts_with("Conflict: can't use getUpdates"));
}

#[tokio::test]
async fn invalid_control_calls_are_refused() {
    let f = Fixture::new().await;
    let bot = f.bot.id;
    for (body, expected) in [
        (json!({"botIdentity": 1, "chatId": 1, "text": "x"}), 404),
        (json!({"chatId": 1, "text": "x"}), 422),
        (json!({"botIdentity": "x", "chatId": 1, "text": "x"}), 400),
        (json!({"botIdentity": bot, "text": "x"}), 400),
        (json!({"botIdentity": bot, "chatId": 1}), 400),
        (json!({"botIdentity": bot, "chatId": -5, "text": "x"}), 400),
        (json!({"botIdentity": bot, "chatId": 1, "text": "x", "updateId": -1}), 400),
        (json!({"botIdentity": bot, "raw": "x"}), 400),
    ] {
        let (status, problem) = f.post_local("messages", body.clone()).await;
        assert_eq!((status, problem["status"].as_u64()), (expected, Some(u64::from(expected))), "{body}");
    }
}
