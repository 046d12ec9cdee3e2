//! A served emulator, and a webhook with answers that a test sets.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use af_domain::time::{Millis, Timestamp};
use af_emulator_telegram::{EmulatedBot, Options, TelegramEmulator};
use af_runtime::entropy::Entropy;
use af_runtime::virtual_clock::VirtualClock;
use af_telegram::{Bot, BotApi, SetWebhook};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// The fixed time of the tests.
pub const NOW: u64 = 1_700_000_000_123;
/// Four pushes with very short waits.
pub const RETRIES_AT_ONCE: Options =
    Options { max_attempts: 4, backoff: Millis::new(1), max_backoff: Millis::new(5) };
/// The secret token of the tests' webhooks.
pub const SECRET: &str = "hook-secret_1";

/// Serves a router on a free port.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// An emulator with one bot, served with its control routes under `/_local`.
pub struct Fixture {
    pub telegram: TelegramEmulator,
    pub clock: VirtualClock,
    pub url: String,
    pub bot: EmulatedBot,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(None, RETRIES_AT_ONCE).await
    }

    /// A served emulator with its journal in `dir`. It uses the bot of an earlier emulator there.
    pub async fn at(dir: &Path) -> Self {
        Self::with(Some(dir), RETRIES_AT_ONCE).await
    }

    pub async fn with(dir: Option<&Path>, options: Options) -> Self {
        let clock = VirtualClock::frozen_at(Timestamp::from_millis(NOW));
        let entropy = Arc::new(Entropy::seeded(7));
        let telegram = TelegramEmulator::open(dir, Arc::new(clock.clone()), entropy, options).unwrap();
        let bot = match telegram.bots().pop() {
            Some(bot) => bot,
            None => telegram.add_bot(None, Some("demo_bot")).unwrap(),
        };
        let router = telegram.api().merge(Router::new().nest("/_local", telegram.control()));
        let url = serve(router).await;
        Self { telegram, clock, url, bot }
    }

    /// Our client for the bot.
    pub fn client(&self) -> Bot {
        self.client_of(&self.bot.token)
    }

    pub fn client_of(&self, token: &str) -> Bot {
        let http = af_telegram::http_client(&self.url).unwrap();
        BotApi::new(http, &self.url).bot(&SecretString::from(token))
    }

    /// Calls a method with JSON, and returns the HTTP status and the answer.
    pub async fn call(&self, method: &str, params: Value) -> (u16, Value) {
        let url = format!("{}/bot{}/{method}", self.url, self.bot.token);
        answer(http().post(url).json(&params)).await
    }

    /// The updates that the control route lists.
    pub async fn updates(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/_local/telegram/updates?{query}", self.url);
        answer(http().get(url)).await.1["updates"].as_array().unwrap().clone()
    }

    /// Calls a control route.
    pub async fn post_local(&self, path: &str, body: Value) -> (u16, Value) {
        answer(http().post(format!("{}/_local/telegram/{path}", self.url)).json(&body)).await
    }

    /// Sends the message of a user in a private chat.
    pub async fn write(&self, chat: i64, text: &str) -> Value {
        let body =
            json!({"botIdentity": self.bot.id.to_string(), "chatId": chat, "userId": chat, "text": text});
        let (status, pushed) = self.post_local("messages", body).await;
        assert_eq!(status, 200, "{pushed}");
        pushed
    }

    /// Sets `hook` as the webhook.
    pub async fn set_webhook(&self, hook: &Hook) {
        let secret_token = &SecretString::from(SECRET);
        let webhook = SetWebhook {
            url: &hook.url,
            secret_token,
            allowed_updates: af_telegram::ALLOWED_UPDATES,
            max_connections: 40,
        };
        self.client().set_webhook(&webhook).await.unwrap();
    }
}

/// Sends a request, and returns the HTTP status and the JSON of the response.
pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A webhook. It forwards the pushed updates and answers with the statuses that a test sets, otherwise with 200.
pub struct Hook {
    pub url: String,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
    pushed: mpsc::UnboundedReceiver<(HeaderMap, Value)>,
}

type HookState = (Arc<Mutex<VecDeque<StatusCode>>>, mpsc::UnboundedSender<(HeaderMap, Value)>);

impl Hook {
    pub async fn new() -> Self {
        let answers: Arc<Mutex<VecDeque<StatusCode>>> = Arc::default();
        let (sender, pushed) = mpsc::unbounded_channel();
        let router = Router::new().route("/hook", post(take)).with_state((answers.clone(), sender));
        Self { url: format!("{}/hook", serve(router).await), answers, pushed }
    }

    /// Sets the answers to the next pushes.
    pub fn will_answer(&self, statuses: &[u16]) {
        let statuses = statuses.iter().map(|status| StatusCode::from_u16(*status).unwrap());
        self.answers.lock().unwrap().extend(statuses);
    }

    /// The next push.
    pub async fn next(&mut self) -> (HeaderMap, Value) {
        self.pushed.recv().await.unwrap()
    }

    /// The text of the next push.
    pub async fn next_text(&mut self) -> String {
        self.next().await.1["message"]["text"].as_str().unwrap().to_owned()
    }

    /// Whether the test has read all pushes.
    pub fn is_quiet(&mut self) -> bool {
        self.pushed.try_recv().is_err()
    }
}

async fn take(
    State((answers, sender)): State<HookState>,
    headers: HeaderMap,
    Json(update): Json<Value>,
) -> (StatusCode, [(&'static str, &'static str); 1], Json<Value>) {
    let status = answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
    let id = update["update_id"].clone();
    sender.send((headers, update)).unwrap();
    (status, [("x-test", "1")], Json(json!({"ok": status.is_success(), "sawUpdate": id})))
}
