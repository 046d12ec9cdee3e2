//! A fake of the worker routes and of the Bot API on loopback, scripted by each test.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use af_agent::Config;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub const TOKEN: &str = "worker-token";
pub const BOT_TOKEN: &str = "42:bot-secret";
pub const MODEL_KEY: &str = "sk-model-secret";

/// What the fake answers to one call.
#[derive(Clone, Debug)]
pub enum Answer {
    Json(u16, Value),
    /// An answer that asks to wait for this many seconds.
    Later(u16, u64, Value),
    /// A stream of events; it is cut off behind them, or ends.
    Events {
        data: Vec<String>,
        cut_off: bool,
    },
    /// The call is taken and recorded, and its answer is cut off on the way.
    Lost,
}

/// One recorded call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The last part of the path: `poll`, `heartbeat`, `complete`, `fail`, `sendMessage`, `sendChatAction`,
    /// `completions`.
    pub name: String,
    pub path: String,
    pub body: Value,
}

#[derive(Clone, Default)]
pub struct Fake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    scripts: Mutex<HashMap<&'static str, VecDeque<Answer>>>,
    calls: Mutex<Vec<Call>>,
    called: Notify,
}

impl Fake {
    /// Serves on a free port; answers the base URL.
    pub async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = axum::Router::new().fallback(handle).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }

    /// Adds answers to the calls of this name, in order; when none is left, a default is given.
    pub fn script(&self, name: &'static str, answers: impl IntoIterator<Item = Answer>) -> &Self {
        self.0.scripts.lock().unwrap().entry(name).or_default().extend(answers);
        self
    }

    /// Forgets the answers to calls of this name, and takes these instead.
    pub fn replace(&self, name: &'static str, answers: impl IntoIterator<Item = Answer>) {
        self.0.scripts.lock().unwrap().insert(name, answers.into_iter().collect());
    }

    pub fn calls(&self) -> Vec<Call> {
        self.0.calls.lock().unwrap().clone()
    }

    pub fn names(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.name).collect()
    }

    pub fn bodies(&self, name: &str) -> Vec<Value> {
        self.calls().into_iter().filter(|call| call.name == name).map(|call| call.body).collect()
    }

    pub fn count(&self, name: &str) -> usize {
        self.bodies(name).len()
    }

    /// Returns when calls of this name are at least `count`.
    pub async fn called(&self, name: &str, count: usize) {
        loop {
            let mut called = std::pin::pin!(self.0.called.notified());
            called.as_mut().enable();
            if self.count(name) >= count {
                return;
            }
            called.await;
        }
    }

    fn answer(&self, name: &str) -> Answer {
        let scripted = self.0.scripts.lock().unwrap().get_mut(name).and_then(VecDeque::pop_front);
        scripted.unwrap_or_else(|| match name {
            "poll" => stop(),
            "heartbeat" => held(),
            "sendMessage" => ok(json!({"ok": true, "result": {"message_id": 1}})),
            "sendChatAction" => ok(json!({"ok": true, "result": true})),
            _ => ok(json!({})),
        })
    }
}

async fn handle(State(fake): State<Fake>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let path = uri.path().to_owned();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let authorized = path.starts_with("/bot")
        || headers.get("authorization").is_some_and(|value| {
            let token = if path.starts_with("/model") { MODEL_KEY } else { TOKEN };
            value == &format!("Bearer {token}")
        });
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    fake.0.calls.lock().unwrap().push(Call { name: name.clone(), path, body });
    fake.0.called.notify_waiters();
    let answer = if authorized { fake.answer(&name) } else { problem(401, "unauthorized") };
    match answer {
        Answer::Json(status, body) => Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
        Answer::Later(status, seconds, body) => Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("retry-after", seconds)
            .body(Body::from(body.to_string()))
            .unwrap(),
        Answer::Events { data, cut_off } => {
            let events = data.into_iter().map(|data| Ok(format!("data: {data}\n\n")));
            let end = cut_off.then_some(Err("cut off"));
            let body = Body::from_stream(futures::stream::iter(events.chain(end)));
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
        Answer::Lost => {
            let cut_off = futures::stream::iter([Ok(Bytes::from_static(b"{")), Err("cut off")]);
            Response::new(Body::from_stream(cut_off))
        }
    }
}

pub fn ok(body: Value) -> Answer {
    Answer::Json(200, body)
}

pub fn problem(status: u16, code: &str) -> Answer {
    Answer::Json(status, json!({"type": "about:blank", "status": status, "code": code}))
}

fn poll(control: Value, job: Value, bundle: Value) -> Answer {
    ok(json!({"control": control, "job": job, "bundle": bundle, "nextPollMs": 1_000}))
}

/// A poll's answer: stop.
pub fn stop() -> Answer {
    poll(json!({"shouldStop": true, "reasons": ["idle"], "switch": false}), Value::Null, Value::Null)
}

/// A poll's answer: nothing to do.
pub fn nothing() -> Answer {
    poll(go_on(), Value::Null, Value::Null)
}

/// A poll's answer: let the conversation go.
pub fn switch() -> Answer {
    poll(json!({"shouldStop": false, "reasons": [], "switch": true}), Value::Null, Value::Null)
}

fn go_on() -> Value {
    json!({"shouldStop": false, "reasons": [], "switch": false})
}

/// A poll's answer: this message, from the API.
pub fn job(message: &str, text: &str) -> Answer {
    hydrated(message, payload("api", "user-1", text), Value::Null)
}

/// A poll's answer: this message, from Telegram.
pub fn telegram_job(message: &str, text: &str) -> Answer {
    hydrated(message, payload("telegram", "777", text), json!(BOT_TOKEN))
}

pub fn payload(provider: &str, user: &str, text: &str) -> Value {
    json!({"provider": provider, "providerUserId": user, "messageText": text, "metadata": {}, "attachments": []})
}

pub fn hydrated(message: &str, payload: Value, bot_token: Value) -> Answer {
    let conversation = format!("conversation-of-{message}");
    let job = json!({
        "messageId": message, "conversationId": conversation, "agentKey": "demo",
        "leaseId": format!("lease-of-{message}"), "fence": 3, "attempt": 1, "leaseExpiresAt": 1_090_000,
        "nextHeartbeatMs": 15_000, "leaseMs": 90_000, "payload": payload,
    });
    let bundle = json!({
        "messageId": message, "conversationId": conversation, "agentKey": "demo", "payload": payload,
        "conversationState": {"contextHistory": [], "pendingToolCalls": []}, "contextFingerprint": "f", "cursor": "c",
        "telegramBotToken": bot_token,
        "bridgeRuntimeConfig": {"baseUrl": "http://bridge", "serviceKey": "bridge-key", "appBaseUrlMapJson": "{}"},
    });
    poll(go_on(), job, bundle)
}

fn heartbeat(held: bool, cancelled: bool, should_stop: bool) -> Answer {
    ok(json!({
        "held": held, "cancelled": cancelled, "leaseExpiresAt": 1_090_000, "nextHeartbeatMs": 15_000,
        "control": {"shouldStop": should_stop, "reasons": [], "switch": false},
    }))
}

pub fn held() -> Answer {
    heartbeat(true, false, false)
}

pub fn held_but_stop() -> Answer {
    heartbeat(true, false, true)
}

pub fn not_held() -> Answer {
    heartbeat(false, false, false)
}

pub fn cancelled() -> Answer {
    heartbeat(true, true, false)
}

/// The configuration of an echo worker, with changes.
pub fn config(url: &str, changes: &[(&str, &str)]) -> Config {
    Config::from_env(|name| {
        if let Some((_, value)) = changes.iter().find(|(changed, _)| *changed == name) {
            return Some((*value).to_owned());
        }
        match name {
            "AGENT_FACTORY_URL" | "TELEGRAM_API_URL" => Some(url.to_owned()),
            "AGENT_FACTORY_WORKER_TOKEN" => Some(TOKEN.to_owned()),
            "AGENT_FACTORY_WORKER_ID" => Some("w1".to_owned()),
            _ => None,
        }
    })
    .unwrap()
}

/// A shutdown that never comes.
pub async fn never() {
    std::future::pending().await
}

/// Runs real programs in real time at most this long: a hanging test fails instead.
pub const PATIENCE: Duration = Duration::from_secs(20);
