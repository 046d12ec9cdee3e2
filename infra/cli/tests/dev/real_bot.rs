//! `dev --telegram-token-file`. The emulator of a second `dev` plays the real Telegram.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Dev, eventually};

/// The chat of a person with the real bot.
const CHAT: &str = "4242";

/// A Telegram with a bot whose token is in a file.
struct RealTelegram {
    dev: Dev,
    identity: String,
    token: String,
    file: PathBuf,
    _dir: TempDir,
}

impl RealTelegram {
    async fn new() -> Self {
        let dev = Dev::start(&["--no-workers", "--no-demo"]).await;
        let (_, bot) = dev.call("POST", "/_local/telegram/bots", Some(json!({"username": "real_bot"}))).await;
        let token = bot["token"].as_str().unwrap().to_owned();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, format!("{token}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let identity = bot["botIdentity"].as_str().unwrap().to_owned();
        Self { dev, identity, token, file, _dir: dir }
    }

    fn args(&self) -> Vec<&str> {
        vec!["--telegram-token-file", self.file.to_str().unwrap(), "--telegram-api-url", self.dev.url()]
    }

    async fn writes(&self, text: &str) {
        let message = json!({"botIdentity": self.identity, "chatId": CHAT, "text": text});
        let (status, pushed) = self.dev.call("POST", "/_local/telegram/messages", Some(message)).await;
        assert_eq!((status, &pushed["error"]), (200, &json!("the bot has no webhook")), "{pushed}");
    }

    async fn gets(&self, texts: &[&str]) {
        eventually(&format!("{texts:?}"), async || (self.dev.outbox(CHAT).await == texts).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn a_person_talks_with_a_real_bot_of_a_laptop_also_after_a_crash() {
    let telegram = RealTelegram::new().await;
    telegram.writes("before").await;
    let mut laptop = Dev::start_traced(&telegram.args()).await;
    let demo = &laptop.file["demo"];
    assert_eq!((&demo["botIdentity"], &demo["botUsername"]), (&json!(telegram.identity), &json!("real_bot")));
    assert_eq!((&demo["botToken"], &demo["chatId"]), (&Value::Null, &Value::Null));
    telegram.gets(&["echo: before"]).await;
    telegram.writes("hello").await;
    telegram.gets(&["echo: before", "echo: hello"]).await;
    // A reply whose sender dies before it has stored the result makes the next one wait until the sender's lease ends.
    eventually("the end of the delivery", async || {
        let outbox = laptop.get("/v1/outbox").await;
        outbox["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;

    laptop.crash_and_restart().await;
    telegram.writes("and now?").await;
    telegram.gets(&["echo: before", "echo: hello", "echo: and now?"]).await;
    assert!(laptop.stop().success());
    let (_, secret) = telegram.token.split_once(':').unwrap();
    for file in [laptop.data().with_extension("log"), laptop.data().join("clock.json")] {
        assert!(!fs::read_to_string(&file).unwrap_or_default().contains(secret), "{}", file.display());
    }
}

#[tokio::test]
async fn a_bot_with_a_webhook_and_an_unknown_token_are_refused() {
    let telegram = RealTelegram::new().await;
    let refused = |expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        let mut args = vec!["dev", "--port", "0", "--ephemeral"];
        args.extend(telegram.args());
        let mut command = std::process::Command::new(crate::support::PROGRAM);
        let output = command.arg("--data-dir").arg(dir.path().join("data")).args(args).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && shown.contains(expected), "{shown}");
        assert!(!shown.contains(&telegram.token), "{shown}");
    };
    let webhook = json!({"url": "http://127.0.0.1:9/elsewhere"});
    let (status, _) =
        telegram.dev.call("POST", &format!("/bot{}/setWebhook", telegram.token), Some(webhook)).await;
    assert_eq!(status, 200);
    refused("http://127.0.0.1:9/elsewhere");
    fs::write(&telegram.file, format!("{}:unknown", telegram.identity)).unwrap();
    refused("Telegram does not know this bot token");
    fs::write(&telegram.file, "hello").unwrap();
    refused("has no bot token");
}
