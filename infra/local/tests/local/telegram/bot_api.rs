//! The emulator accepts and refuses the same calls as Telegram.

use af_domain::time::Millis;
use serde_json::{Value, json};

use super::support::{Fixture, NOW, answer, http};

fn refused(words: &str) -> (u16, Value) {
    (400, json!({"ok": false, "error_code": 400, "description": format!("Bad Request: {words}")}))
}

#[tokio::test]
async fn unknown_tokens_methods_and_paths_are_refused_in_telegrams_form() {
    let f = Fixture::new().await;
    let get = |path: String| answer(http().get(format!("{}{path}", f.url)));
    let (status, body) = get("/bot1:wrong/getMe".to_owned()).await;
    assert_eq!((status, &body["description"]), (401, &json!("Unauthorized")));
    let (status, body) = get("/botnonsense/getMe".to_owned()).await;
    assert_eq!((status, body["error_code"].as_u64()), (404, Some(404)));
    let (status, body) = f.call("sendPigeon", json!({})).await;
    assert_eq!((status, &body["description"]), (404, &json!("Not Found: method not found")));
    assert_eq!(get("/elsewhere".to_owned()).await.0, 404);
}

#[tokio::test]
async fn parameters_may_be_a_query_a_form_or_json_and_method_names_have_any_case() {
    let f = Fixture::new().await;
    let method = |name: &str| format!("{}/bot{}/{name}", f.url, f.bot.token);
    answer(http().get(method("sendmessage?chat_id=9&text=by+query%21"))).await;
    answer(http().post(method("SENDMESSAGE")).form(&[("chat_id", "9"), ("text", "by form ä")])).await;
    let (status, body) = f.call("sendMessage", json!({"chat_id": "9", "text": "by json"})).await;
    assert_eq!(status, 200);
    assert_eq!(body["result"]["message_id"], 3);
    assert_eq!(body["result"]["date"], NOW / 1_000);
    assert_eq!(body["result"]["chat"], json!({"id": 9, "type": "private"}));
    let texts: Vec<_> = f.telegram.outbox(None, Some(9), 10).into_iter().map(|sent| sent.text).collect();
    assert_eq!(texts, ["by query!", "by form ä", "by json"]);
    let (status, _) = f.call("sendMessage", json!("a text")).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_message_without_a_chat_or_with_an_invalid_text_is_refused() {
    let f = Fixture::new().await;
    for (params, words) in [
        (json!({"text": "x"}), "chat_id is empty"),
        (json!({"chat_id": "", "text": "x"}), "chat_id is empty"),
        (json!({"chat_id": "@channel", "text": "x"}), "chat not found"),
        (json!({"chat_id": 0, "text": "x"}), "chat not found"),
        (json!({"chat_id": 1}), "message text is empty"),
        (json!({"chat_id": 1, "text": " \n "}), "message text is empty"),
        (json!({"chat_id": 1, "text": "<b> </b>", "parse_mode": "HTML"}), "message text is empty"),
        (json!({"chat_id": 1, "text": "ä".repeat(4_097)}), "message is too long"),
        (json!({"chat_id": 1, "text": "x", "parse_mode": "Word"}), "unsupported parse_mode"),
        (
            json!({"chat_id": 1, "text": "<x>", "parse_mode": "html"}),
            "can't parse entities: Unsupported start tag \"x\" at byte offset 0",
        ),
        (json!({"chat_id": 1, "text": "x", "reply_to_message_id": 5}), "message to be replied not found"),
    ] {
        assert_eq!(f.call("sendMessage", params.clone()).await, refused(words), "{params}");
    }
    assert!(f.telegram.outbox(None, None, 10).is_empty());
    for text in ["ä".repeat(4_096), format!("<b>{}</b>", "😀".repeat(4_096))] {
        let params = json!({"chat_id": 1, "text": text, "parse_mode": "HTML"});
        assert_eq!(f.call("sendMessage", params).await.0, 200);
    }
}

#[tokio::test]
async fn a_sent_message_has_the_time_of_the_emulators_clock() {
    let f = Fixture::new().await;
    f.call("sendMessage", json!({"chat_id": 1, "text": "now"})).await;
    f.clock.advance(Millis::from_days(1));
    f.call("sendMessage", json!({"chat_id": 1, "text": "tomorrow"})).await;
    let at: Vec<_> = f.telegram.outbox(None, None, 10).into_iter().map(|sent| sent.at).collect();
    assert_eq!(at, [NOW, NOW + 86_400_000]);
}

#[tokio::test]
async fn a_document_is_recorded_by_name_and_size() {
    let f = Fixture::new().await;
    let body = "--b\r\ncontent-disposition: form-data; name=\"chat_id\"\r\n\r\n-44\r\n\
        --b\r\ncontent-disposition: form-data; name=\"caption\"\r\n\r\nfor you\r\n\
        --b\r\ncontent-disposition: form-data; name=\"document\"; filename=\"report.pdf\"\r\n\
        content-type: application/pdf\r\n\r\n%PDF-1.7\r\n--b--\r\n";
    let url = format!("{}/bot{}/sendDocument", f.url, f.bot.token);
    let request = http().post(url).header("content-type", "multipart/form-data; boundary=b").body(body);
    let (status, body) = answer(request).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["result"]["document"]["file_name"], "report.pdf");
    assert_eq!(body["result"]["chat"]["type"], "group");
    let sent = &f.telegram.outbox(None, Some(-44), 10)[0];
    assert_eq!(
        (sent.text.as_str(), sent.file_name.as_deref(), sent.size_bytes),
        ("for you", Some("report.pdf"), Some(8))
    );
    let missing = f.call("sendAudio", json!({"chat_id": 1})).await;
    assert_eq!(missing, refused("there is no audio in the request"));
    assert_eq!(f.call("sendAudio", json!({"chat_id": 1, "audio": "a-file-id"})).await.0, 200);
}

#[tokio::test]
async fn an_unknown_chat_action_is_refused() {
    let f = Fixture::new().await;
    let (status, _) = f.call("sendChatAction", json!({"chat_id": 3, "action": "typing"})).await;
    assert_eq!(status, 200);
    let odd = f.call("sendChatAction", json!({"chat_id": 3, "action": "sleeping"})).await;
    assert_eq!(odd, refused("wrong parameter action in request"));
    let url = format!("{}/_local/telegram/actions?chatId=3", f.url);
    let (_, listed) = answer(http().get(url)).await;
    assert_eq!(listed["actions"][0]["action"], "typing");
    assert_eq!(listed["actions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_users_file_can_be_downloaded_by_its_bot_only() {
    let f = Fixture::new().await;
    let upload = format!("{}/_local/telegram/files?botIdentity={}&fileName=notes.txt", f.url, f.bot.id);
    let (status, stored) = answer(http().post(upload).body("some notes")).await;
    assert_eq!((status, stored["sizeBytes"].as_u64()), (200, Some(10)));
    let (_, got) = f.call("getFile", json!({"file_id": stored["fileId"]})).await;
    let path = got["result"]["file_path"].as_str().unwrap();
    assert!(path.ends_with(".txt"), "{path}");
    let download = format!("{}/file/bot{}/{path}", f.url, f.bot.token);
    assert_eq!(http().get(download).send().await.unwrap().text().await.unwrap(), "some notes");

    let other = f.telegram.add_bot(None, None).unwrap();
    let foreign = format!("{}/file/bot{}/{path}", f.url, other.token);
    assert_eq!(http().get(foreign).send().await.unwrap().status().as_u16(), 404);
    assert_eq!(f.call("getFile", json!({"file_id": "unknown"})).await, refused("invalid file_id"));
    assert_eq!(f.call("getFile", json!({})).await, refused("file_id not specified"));
}

#[tokio::test]
async fn a_file_that_is_too_large_for_bots_is_refused() {
    let f = Fixture::new().await;
    let content = vec![0; (20 << 20) + 1];
    let stored = f.telegram.add_file(f.bot.id, "film.mkv", content.into()).await.unwrap();
    assert_eq!(f.call("getFile", json!({"file_id": stored.file_id})).await, refused("file is too big"));
}

#[tokio::test]
async fn faults_can_be_queued_over_http() {
    let f = Fixture::new().await;
    let order =
        json!({"method": "getMe", "times": 2, "errorCode": 429, "description": "slow down", "retryAfter": 1});
    assert_eq!(f.post_local("faults", order).await.0, 200);
    for _ in 0..2 {
        let (status, body) = f.call("getMe", json!({})).await;
        assert_eq!((status, &body["parameters"]["retry_after"]), (429, &json!(1)));
    }
    assert_eq!(f.call("getMe", json!({})).await.0, 200);
    assert_eq!(f.post_local("faults", json!({"method": "getMe", "errorCode": 200})).await.0, 400);
}

#[tokio::test]
async fn bots_are_created_with_a_random_or_a_given_token() {
    let f = Fixture::new().await;
    let (_, made) = f.post_local("bots", json!({"username": "helper_bot"})).await;
    let token = made["token"].as_str().unwrap();
    let (id, secret) = token.split_once(':').unwrap();
    assert_eq!((made["botIdentity"].as_str(), secret.len()), (Some(id), 35));
    assert_eq!(f.client_of(token).get_me().await.unwrap().username.as_deref(), Some("helper_bot"));

    let rotated = format!("{id}:another");
    f.post_local("bots", json!({"token": rotated})).await;
    assert!(f.client_of(token).get_me().await.is_err(), "the old token is revoked");
    assert_eq!(f.client_of(&rotated).get_me().await.unwrap().username.as_deref(), Some("helper_bot"));
    assert_eq!(f.post_local("bots", json!({"token": "no token"})).await.0, 400);
}
