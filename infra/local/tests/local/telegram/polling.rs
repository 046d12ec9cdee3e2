//! The updates of a real bot, which are fetched. The emulator plays the real Telegram.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use af_domain::time::Millis;
use af_local::UpdatePoller;
use af_telegram::Pause;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::support::{Fixture, Hook, SECRET};

/// Records the waits, and waits not at all.
struct NoPause(mpsc::UnboundedSender<Millis>);

impl Pause for NoPause {
    fn pause(&self, length: Millis) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.send(length).unwrap();
        Box::pin(tokio::task::yield_now())
    }
}

type Deployment = (Arc<Mutex<VecDeque<u16>>>, mpsc::UnboundedSender<(String, Value)>);

/// A webhook in this process.
async fn take(State((answers, taken)): State<Deployment>, headers: HeaderMap, body: String) -> StatusCode {
    let secret = headers["x-telegram-bot-api-secret-token"].to_str().unwrap().to_owned();
    taken.send((secret, serde_json::from_str(&body).unwrap())).unwrap();
    StatusCode::from_u16(answers.lock().unwrap().pop_front().unwrap_or(200)).unwrap()
}

struct Polling {
    f: Fixture,
    poller: UpdatePoller,
    taken: mpsc::UnboundedReceiver<(String, Value)>,
    waits: mpsc::UnboundedReceiver<Millis>,
}

impl Polling {
    async fn new(answers: &[u16]) -> Self {
        let f = Fixture::new().await;
        let (sender, taken) = mpsc::unbounded_channel();
        let (pause, waits) = mpsc::unbounded_channel();
        let state: Deployment = (Arc::new(Mutex::new(answers.iter().copied().collect())), sender);
        let poller = UpdatePoller {
            bot: f.client(),
            functions: Router::new().route("/hook", post(take)).with_state(state),
            path: "/hook".to_owned(),
            secret: SecretString::from(SECRET),
            pause: Arc::new(NoPause(pause)),
        };
        Self { f, poller, taken, waits }
    }
}

fn text(update: &Value) -> &str {
    update["message"]["text"].as_str().unwrap()
}

#[tokio::test]
async fn updates_reach_the_webhook_in_order_and_again_until_it_accepts_them() {
    let Polling { f, poller, mut taken, mut waits } = Polling::new(&[200, 500, 429, 200]).await;
    f.write(5, "one").await;
    f.write(6, "two").await;
    f.write(5, "half \u{1f600}").await;
    let running = tokio::spawn(poller.run());
    let mut texts = Vec::new();
    for _ in 0..5 {
        let (secret, update) = taken.recv().await.unwrap();
        assert_eq!(secret, SECRET);
        texts.push(text(&update).to_owned());
    }
    assert_eq!(texts, ["one", "two", "two", "two", "half \u{1f600}"]);
    assert_eq!([waits.recv().await, waits.recv().await], [1, 2].map(|s| Some(Millis::from_secs(s))));
    f.write(5, "later").await;
    assert_eq!(text(&taken.recv().await.unwrap().1), "later", "the poll waits for it");
    running.abort();
}

#[tokio::test]
async fn an_update_is_confirmed_only_after_the_webhook_has_accepted_it() {
    let Polling { f, poller, mut taken, mut waits } = Polling::new(&[200, 500, 500, 500]).await;
    f.write(5, "one").await;
    f.write(5, "two").await;
    let running = tokio::spawn(poller.run());
    waits.recv().await.unwrap();
    running.abort();
    let _ = running.await;
    let states: Vec<_> = f.updates("").await.iter().map(|u| u["state"].clone()).collect();
    assert_eq!(states, [json!("pending"), json!("pending")], "a new process gets both again");
    assert_eq!(text(&taken.recv().await.unwrap().1), "one");
}

#[tokio::test]
async fn a_conflict_is_waited_out_and_a_refused_token_ends_the_polling() {
    let Polling { f, poller, mut taken, mut waits } = Polling::new(&[]).await;
    let hook = Hook::new().await;
    f.set_webhook(&hook).await;
    let running = tokio::spawn(poller.run());
    waits.recv().await.unwrap();
    f.call("deleteWebhook", json!({})).await;
    f.write(5, "one").await;
    assert_eq!(text(&taken.recv().await.unwrap().1), "one");
    // BotFather issues another token, and the next poll fails.
    f.telegram.add_bot(Some(&format!("{}:another", f.bot.id)), None).unwrap();
    f.write(5, "two").await;
    running.await.unwrap();
}
