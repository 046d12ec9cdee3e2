//! Our client with the emulator.

use std::error::Error;

use af_domain::time::Millis;
use af_emulator_telegram::Fault;
use af_telegram::{BotApi, ChatAction, RemoteFile, SendMessage, SetWebhook, TelegramError};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::{Fixture, http};

fn text(text: &str) -> SendMessage<'_> {
    SendMessage { chat_id: 5, text, parse_mode: None, reply_to: None, message_thread_id: None }
}

#[tokio::test]
async fn get_me_returns_the_bot() {
    let f = Fixture::new().await;
    let me = f.client().get_me().await.unwrap();
    assert_eq!((me.id, me.username.as_deref()), (f.bot.id, Some("demo_bot")));
}

#[tokio::test]
async fn a_file_is_downloaded_unchanged_and_only_up_to_the_requested_size() {
    let f = Fixture::new().await;
    let stored = f.telegram.add_file(f.bot.id, "notes.txt", "hello".into()).await.unwrap();
    let bot = f.client();
    let file = bot.get_file(&stored.file_id).await.unwrap();
    assert_eq!((file.file_path.as_deref(), file.file_size), (Some(stored.file_path.as_str()), Some(5)));
    let downloaded = bot.download(&file, 5).await.unwrap();
    assert_eq!(downloaded.content, b"hello");
    assert_eq!(downloaded.content_type.as_deref(), Some("application/octet-stream"));
    assert!(matches!(bot.download(&file, 4).await, Err(TelegramError::TooLarge { max_bytes: 4 })));
    let gone = RemoteFile { file_path: Some("documents/other.txt".to_owned()), ..file.clone() };
    let error = bot.download(&gone, 5).await.unwrap_err();
    assert!(matches!(error, TelegramError::BadRequest { .. }), "{error:?}");
    let other = f.client_of(&format!("{}:someoneelses", f.bot.id));
    assert!(matches!(other.download(&file, 5).await, Err(TelegramError::Unauthorized)));
}

#[tokio::test]
async fn an_unknown_token_is_unauthorized() {
    let f = Fixture::new().await;
    let other = format!("{}:someoneelses", f.bot.id);
    assert!(matches!(f.client_of(&other).get_me().await, Err(TelegramError::Unauthorized)));
    assert!(matches!(f.client_of("nonsense").get_me().await, Err(TelegramError::Unauthorized)));
}

#[tokio::test]
async fn get_webhook_info_shows_the_webhook() {
    let f = Fixture::new().await;
    let bot = f.client();
    assert_eq!(bot.get_webhook_info().await.unwrap().url, "");
    let secret_token = &SecretString::from("abc_DEF-1");
    let url = "http://127.0.0.1:9/agent-factory/telegram/webhook/1";
    let webhook = SetWebhook { url, secret_token, allowed_updates: &["message"], max_connections: 7 };
    bot.set_webhook(&webhook).await.unwrap();
    let info = bot.get_webhook_info().await.unwrap();
    assert_eq!((info.url.as_str(), info.max_connections, info.pending_update_count), (url, Some(7), 0));
    assert_eq!(info.allowed_updates, ["message"]);
}

#[tokio::test]
async fn a_webhook_outside_loopback_or_with_a_bad_secret_is_refused() {
    let f = Fixture::new().await;
    let bot = f.client();
    let too_long = "a".repeat(257);
    for (url, secret, words) in [
        ("https://example.com/hook", "abc", "bad webhook: the emulator calls loopback addresses only"),
        ("ftp://127.0.0.1/hook", "abc", "bad webhook: An HTTPS URL must be provided for webhook"),
        ("nonsense", "abc", "bad webhook: invalid webhook URL specified"),
        ("http://localhost:1/hook", "a b", "secret token contains unallowed characters"),
        ("http://[::1]:1/hook", too_long.as_str(), "secret token is too long"),
    ] {
        let secret_token = &SecretString::from(secret);
        let webhook = SetWebhook { url, secret_token, allowed_updates: &[], max_connections: 40 };
        match bot.set_webhook(&webhook).await {
            Err(TelegramError::BadRequest { description }) => {
                assert_eq!(description, format!("Bad Request: {words}"))
            }
            other => panic!("{url}: {other:?}"),
        }
    }
    assert_eq!(bot.get_webhook_info().await.unwrap().url, "");
}

#[tokio::test]
async fn a_message_and_a_chat_action_are_sent() {
    let f = Fixture::new().await;
    let bot = f.client();
    bot.send_chat_action(5, ChatAction::Typing, None).await.unwrap();
    let sent = bot.send_message(&text("hello")).await.unwrap();
    assert_eq!(sent.message_id, 1);
    let outbox = f.telegram.outbox(None, Some(5), 10);
    assert_eq!(outbox.len(), 1);
    assert_eq!(outbox[0].text, "hello");
    assert_eq!(f.telegram.chat_actions()[0].action, "typing");
}

#[tokio::test]
async fn a_reply_to_a_deleted_message_is_sent() {
    let f = Fixture::new().await;
    let reply = SendMessage { reply_to: Some(999), message_thread_id: Some(4), ..text("still here") };
    f.client().send_message(&reply).await.unwrap();
    let sent = &f.telegram.outbox(None, None, 10)[0];
    assert_eq!((sent.reply_to_message_id, sent.message_thread_id), (None, Some(4)));
}

#[tokio::test]
async fn refusals_become_typed_errors() {
    let f = Fixture::new().await;
    let bot = f.client();
    f.telegram.fault("sendMessage", &Fault::rate_limited(3), 1);
    f.telegram.fault("sendMessage", &Fault::migrated(-100_200), 1);
    f.telegram.fault("sendMessage", &Fault::new(403, "Forbidden: bot was blocked by the user"), 1);
    f.telegram.fault("sendMessage", &Fault::new(500, "Internal Server Error"), 1);
    let limited = bot.send_message(&text("x")).await;
    assert!(
        matches!(limited, Err(TelegramError::RateLimited { retry_after }) if retry_after == Millis::from_secs(3))
    );
    let moved = bot.send_message(&text("x")).await;
    assert!(matches!(moved, Err(TelegramError::ChatMigrated { to: -100_200 })));
    assert!(matches!(bot.send_message(&text("x")).await, Err(TelegramError::Forbidden { .. })));
    assert!(matches!(bot.send_message(&text("x")).await, Err(TelegramError::Unavailable { status: 500 })));
    assert!(f.telegram.outbox(None, None, 10).is_empty());
    assert!(bot.send_message(&text("x")).await.is_ok());
}

#[tokio::test]
async fn a_message_is_sent_even_if_the_response_is_lost() {
    let f = Fixture::new().await;
    f.telegram.fault("sendmessage", &Fault::answer_lost(), 1);
    let error = f.client().send_message(&text("once")).await.unwrap_err();
    assert!(error.may_have_happened());
    assert_eq!(f.telegram.outbox(None, None, 10).len(), 1);
}

/// All texts of an error, including its causes.
fn everything(error: &TelegramError) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    shown
}

#[tokio::test]
async fn no_transport_error_shows_the_token() {
    let token = "4242:TOPSECRETTOKEN";
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let bot = BotApi::new(http(), &format!("http://{closed}")).bot(&SecretString::from(token));
    let refused = bot.get_me().await.unwrap_err();
    assert!(matches!(refused, TelegramError::Unreachable(_)) && !refused.may_have_happened());
    assert!(!everything(&refused).contains("TOPSECRET"), "{}", everything(&refused));

    let misplaced = BotApi::new(http(), "not a url").bot(&SecretString::from(token));
    let error = misplaced.get_me().await.unwrap_err();
    assert!(!everything(&error).contains("TOPSECRET"), "{}", everything(&error));
}

/// A server that reads a request, answers with `raw` and closes the connection.
async fn answers_raw(raw: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4_096]).await;
        let _ = stream.write_all(raw.as_bytes()).await;
    });
    format!("http://{address}")
}

#[tokio::test]
async fn after_an_incomplete_or_foreign_response_the_outcome_is_unknown() {
    let cases = [
        ("", "no answer"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ok\":", "no answer"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "unreadable"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"ok\":true}", "unreadable"),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n", "unreadable"),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>", "unavailable"),
    ];
    for (raw, expected) in cases {
        let url = answers_raw(raw).await;
        let client = af_telegram::http_client(&url).unwrap();
        let bot = BotApi::new(client, &url).bot(&SecretString::from("4242:TOPSECRETTOKEN"));
        let error = bot.send_message(&text("hi")).await.unwrap_err();
        let kind = match &error {
            TelegramError::NoAnswer(_) => "no answer",
            TelegramError::Unreadable => "unreadable",
            TelegramError::Unavailable { status: 502 } => "unavailable",
            other => panic!("{raw:?}: {other:?}"),
        };
        assert_eq!(kind, expected, "{raw:?}");
        assert!(error.may_have_happened());
        assert!(!everything(&error).contains("TOPSECRET"), "{}", everything(&error));
    }
}
