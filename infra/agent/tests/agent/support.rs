//! A fake of the worker routes, the bucket, the Bot API and a model's server on loopback. Each test scripts its
//! answers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use af_agent::Config;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub const TOKEN: &str = "worker-token";
pub const MODEL_KEY: &str = "sk-model-secret";

/// The answer of the fake to one call.
#[derive(Clone, Debug)]
pub enum Answer {
    Json(u16, Value),
    /// The same with an entity tag.
    Tagged(u16, &'static str, Value),
    /// An answer that asks to wait for this many seconds.
    Later(u16, u64, Value),
    /// A stream of events. It is cut off after them, or ends.
    Events {
        data: Vec<String>,
        cut_off: bool,
    },
    /// A stream whose first event does not end within this many pieces of 64 KB.
    Endless(usize),
    /// The next answer, delayed until there were this many calls of this name.
    After(&'static str, usize),
    /// The call is recorded, and its answer is cut off.
    Lost,
    /// Bytes; status 204 if there are none.
    Bytes(Vec<u8>),
    /// A redirect.
    Redirect(&'static str),
}

/// One recorded call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The last part of the path: `poll`, `skills`, `heartbeat`, `complete`, `fail`,
    /// `completions`, and so on. With other names: a poll with a load is a `farewell`, the failure of a snapshot a
    /// `give-up`, and the transfers to and from the bucket are an `upload` and a `download`.
    pub name: String,
    pub path: String,
    pub body: Value,
    /// `If-None-Match`.
    pub known: Option<String>,
}

#[derive(Clone, Default)]
pub struct Fake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    scripts: Mutex<HashMap<&'static str, VecDeque<Answer>>>,
    calls: Mutex<Vec<Call>>,
    called: Notify,
    base: OnceLock<String>,
    bucket: Mutex<Bucket>,
}

/// The announced and the uploaded archives by conversation, with the announced SHA-256; the latest is the last.
#[derive(Default)]
struct Bucket {
    announced: HashMap<String, String>,
    archives: HashMap<String, Vec<(String, Vec<u8>)>>,
}

impl Fake {
    /// Serves on a free port. Returns the base URL.
    pub async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        self.0.base.set(base.clone()).unwrap();
        let app = axum::Router::new().fallback(handle).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        base
    }

    /// Whether there is an archive of a conversation.
    pub fn has_archive(&self, conversation: &str) -> bool {
        self.0.bucket.lock().unwrap().archives.contains_key(conversation)
    }

    /// Replaces the bytes of the latest archive.
    pub fn corrupt(&self, conversation: &str, bytes: &[u8]) {
        let mut bucket = self.0.bucket.lock().unwrap();
        bucket.archives.get_mut(conversation).unwrap().last_mut().unwrap().1 = bytes.to_vec();
    }

    /// Adds answers to the calls of this name, in order. After the last one, the fake answers a default.
    pub fn script(&self, name: &'static str, answers: impl IntoIterator<Item = Answer>) -> &Self {
        self.0.scripts.lock().unwrap().entry(name).or_default().extend(answers);
        self
    }

    /// Replaces the answers to the calls of this name.
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

    /// Returns when there were at least `count` calls of this name.
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

    /// The answers of the bucket and of the snapshot routes.
    fn bucket(&self, call: &Call, raw: &Bytes) -> Option<Answer> {
        let base = self.0.base.get().unwrap();
        let mut bucket = self.0.bucket.lock().unwrap();
        let in_path = call.path.rsplit('/').next().unwrap_or_default().to_owned();
        let in_body = call.body["conversationId"].as_str().unwrap_or_default().to_owned();
        let url = format!("{base}/bucket/{in_body}");
        Some(match &*call.name {
            "snapshots" => {
                bucket.announced.insert(in_body.clone(), call.body["sha256"].as_str()?.to_owned());
                let method = "PUT";
                let body = json!({"snapshotId": in_body, "uploadUrl": url, "method": method, "headers": {}, "expiresAt": 1});
                Answer::Json(201, body)
            }
            "upload" => {
                let sha256 = bucket.announced.remove(&in_path)?;
                bucket.archives.entry(in_path).or_default().push((sha256, raw.to_vec()));
                ok(json!({}))
            }
            "download" => Answer::Bytes(bucket.archives.get(&in_path)?.last()?.1.clone()),
            "skip" => {
                let conversation = call.path.rsplit('/').nth(1).unwrap();
                bucket.archives.get_mut(conversation)?.pop();
                ok(json!({"failed": true}))
            }
            "latest" => match bucket.archives.get(&in_body).and_then(|archives| archives.last()) {
                None => Answer::Bytes(Vec::new()),
                Some((sha256, bytes)) => ok(json!({
                    "snapshotId": in_body, "downloadUrl": url, "sha256": sha256, "sizeBytes": bytes.len(),
                    "createdAt": 1, "formatVersion": 1,
                })),
            },
            _ => return None,
        })
    }

    async fn answer_in_time(&self, call: &Call, raw: &Bytes) -> Answer {
        match self.answer(call, raw) {
            Answer::After(name, count) => {
                self.called(name, count).await;
                self.answer(call, raw)
            }
            answer => answer,
        }
    }

    fn answer(&self, call: &Call, raw: &Bytes) -> Answer {
        let name = &*call.name;
        let scripted = self.0.scripts.lock().unwrap().get_mut(name).and_then(VecDeque::pop_front);
        scripted.or_else(|| self.bucket(call, raw)).unwrap_or_else(|| match name {
            "poll" | "farewell" => stop(),
            "heartbeat" => held(),
            _ => ok(json!({})),
        })
    }
}

fn is_authorized(path: &str, headers: &HeaderMap) -> bool {
    let authorization = headers.get("authorization");
    if path.starts_with("/bucket") {
        // The URL alone gives access. The bucket must not see the worker token.
        return authorization.is_none();
    }
    let token = if path.starts_with("/model") { MODEL_KEY } else { TOKEN };
    path.starts_with("/bot") || authorization.is_some_and(|value| value == &format!("Bearer {token}"))
}

async fn handle(
    State(fake): State<Fake>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    raw: Bytes,
) -> Response<Body> {
    let path = uri.path().to_owned();
    let mut body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    if let Some(conversation) = uri.query().and_then(|query| query.strip_prefix("conversationId=")) {
        body = json!({"conversationId": conversation});
    }
    let name = match path.rsplit('/').next().unwrap_or_default() {
        _ if path.starts_with("/bucket") && method == Method::PUT => "upload",
        _ if path.starts_with("/bucket") => "download",
        "poll" if body["load"] == 1 => "farewell",
        "fail" if path.contains("/snapshots/") => "give-up",
        last => last,
    };
    let known = headers.get("if-none-match").map(|tag| tag.to_str().unwrap().to_owned());
    let call = Call { name: name.to_owned(), path: path.clone(), body, known };
    fake.0.calls.lock().unwrap().push(call.clone());
    fake.0.called.notify_waiters();
    let authorized = is_authorized(&path, &headers);
    let answer =
        if authorized { fake.answer_in_time(&call, &raw).await } else { problem(401, "unauthorized") };
    let json = |status: u16, body: Value| {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = Response::builder().status(status).header("content-type", "application/json");
        response.body(body).unwrap()
    };
    match answer {
        Answer::Bytes(bytes) => Response::builder()
            .status(if bytes.is_empty() { 204 } else { 200 })
            .body(Body::from(bytes))
            .unwrap(),
        Answer::Redirect(path) => {
            Response::builder().status(302).header("location", path).body(Body::empty()).unwrap()
        }
        Answer::Json(status, body) => json(status, body),
        Answer::Tagged(status, tag, body) => {
            let mut response = json(status, body);
            response.headers_mut().insert("etag", tag.parse().unwrap());
            response
        }
        Answer::Later(status, seconds, body) => {
            let mut response = json(status, body);
            response.headers_mut().insert("retry-after", seconds.into());
            response
        }
        Answer::Events { data, cut_off } => {
            let events = data.into_iter().map(|data| Ok(format!("data: {data}\n\n")));
            let end = cut_off.then_some(Err("cut off"));
            stream_of_events(Body::from_stream(futures::stream::iter(events.chain(end))))
        }
        Answer::Endless(pieces) => {
            let piece = || Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; 64 * 1024]));
            stream_of_events(Body::from_stream(futures::stream::iter((0..pieces).map(move |_| piece()))))
        }
        Answer::After(..) => unreachable!("the fake has already waited"),
        Answer::Lost => {
            let cut_off = futures::stream::iter([Ok(Bytes::from_static(b"{")), Err("cut off")]);
            Response::new(Body::from_stream(cut_off))
        }
    }
}

fn stream_of_events(body: Body) -> Response<Body> {
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

pub fn ok(body: Value) -> Answer {
    Answer::Json(200, body)
}

pub fn problem(status: u16, code: &str) -> Answer {
    Answer::Json(
        status,
        json!({"type": "about:blank", "title": code, "status": status, "detail": code, "code": code}),
    )
}

fn poll(control: Value, job: Value, bundle: Value) -> Answer {
    ok(json!({"control": control, "job": job, "bundle": bundle, "nextPollMs": 1_000}))
}

/// The answer to a poll: stop.
pub fn stop() -> Answer {
    poll(json!({"shouldStop": true, "reasons": ["idle"], "switch": false}), Value::Null, Value::Null)
}

/// The answer to a poll: no message.
pub fn nothing() -> Answer {
    poll(go_on(), Value::Null, Value::Null)
}

/// The answer to a poll: release the conversation.
pub fn switch() -> Answer {
    poll(json!({"shouldStop": false, "reasons": [], "switch": true}), Value::Null, Value::Null)
}

/// The answer to a poll: release this conversation, which the worker may not know of.
pub fn switch_from(conversation: &str) -> Answer {
    let control = json!({"shouldStop": false, "reasons": [], "switch": true, "conversationId": conversation});
    poll(control, Value::Null, Value::Null)
}

fn go_on() -> Value {
    json!({"shouldStop": false, "reasons": [], "switch": false})
}

/// The answer to a poll: this message, from the API.
pub fn job(message: &str, text: &str) -> Answer {
    hydrated(message, payload("api", "user-1", text))
}

pub fn payload(provider: &str, user: &str, text: &str) -> Value {
    json!({"provider": provider, "providerUserId": user, "messageText": text, "metadata": {}, "attachments": []})
}

pub fn hydrated(message: &str, payload: Value) -> Answer {
    let conversation = format!("conversation-of-{message}");
    let job = json!({
        "messageId": message, "conversationId": conversation, "agentKey": "demo",
        "leaseId": format!("lease-of-{message}"), "fence": 3, "attempt": 1, "leaseExpiresAt": 1_090_000,
        "nextHeartbeatMs": 15_000, "leaseMs": 90_000, "payload": payload,
    });
    let bundle = json!({
        "messageId": message, "conversationId": conversation, "agentKey": "demo", "payload": payload,
        "conversationState": {"contextHistory": [], "pendingToolCalls": []}, "contextFingerprint": "f", "cursor": "c",
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
            "AGENT_FACTORY_URL" => Some(url.to_owned()),
            "AGENT_FACTORY_WORKER_TOKEN" => Some(TOKEN.to_owned()),
            "AGENT_FACTORY_WORKER_ID" => Some("w1".to_owned()),
            // The folders of tests are open to their own user only.
            "AGENT_FACTORY_COMMAND_UID" => Some(rustix::process::geteuid().as_raw().to_string()),
            _ => None,
        }
    })
    .unwrap()
}

/// A shutdown that never begins.
pub async fn never() {
    std::future::pending().await
}

/// Time limit of a test with real programs in real time. A test that hangs fails instead.
pub const PATIENCE: Duration = Duration::from_secs(20);
