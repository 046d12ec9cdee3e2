//! The Fly stand-in as a test sees it: what is on it now, and what was ever made there.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex};

use af_app::entropy::Entropy;
use af_domain::ids::WorkerId;
use af_local::clock::VirtualClock;
use af_local::fly::{FakeFly, LeapingTime, Options, PAGE_LEN_MAX};
use af_providers::{FlyProvider, ProviderError, TokenSource};
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::Method;
use secrecy::SecretString;
use serde_json::Value;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::steps::{Steps, Turn};

pub const APP: &str = "workers";
const TOKEN: &str = "FlyV1 fm2_secret";
/// The largest body of a request or an answer: a list of a hundred machines.
const BODY_BYTES_MAX: usize = 1 << 20;

struct Known;

#[async_trait]
impl TokenSource for Known {
    async fn token(&self) -> Result<Option<SecretString>, ProviderError> {
        Ok(Some(SecretString::from(TOKEN)))
    }
}

/// A machine that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub id: String,
    pub worker: WorkerId,
    pub state: String,
}

/// The stand-in, with one app.
pub struct Stand {
    pub fly: FakeFly,
    clock: VirtualClock,
    ever: Arc<Mutex<Ever>>,
    servers: Mutex<Vec<JoinHandle<()>>>,
}

/// What was ever made.
#[derive(Clone, Debug, Default)]
pub struct Ever {
    /// Ids of machines.
    pub machines: BTreeSet<String>,
    /// Ids of volumes.
    pub volumes: BTreeSet<String>,
    /// For which conversation each worker's machine was asked for.
    pub conversations: BTreeMap<WorkerId, Option<String>>,
}

/// What stands between a function and the stand-in.
#[derive(Clone)]
struct Watch {
    fly: FakeFly,
    steps: Option<Arc<Steps>>,
    ever: Arc<Mutex<Ever>>,
}

impl Stand {
    pub fn new(clock: &VirtualClock) -> Self {
        let fly = FakeFly::open(Options {
            data_dir: None,
            time: Arc::new(LeapingTime(clock.clone())),
            entropy: Arc::new(Entropy::seeded(1)),
            token: Some(TOKEN.to_owned()),
            runner: None,
            page_len_max: PAGE_LEN_MAX,
        });
        let fly = fly.unwrap();
        fly.add_app(APP, "org");
        Self { fly, clock: clock.clone(), ever: Arc::default(), servers: Mutex::default() }
    }

    /// A function's provider, whose requests are among its `steps`.
    pub async fn provider(&self, deployment: &str, steps: Option<Arc<Steps>>) -> FlyProvider {
        let watch = Watch { fly: self.fly.clone(), steps, ever: self.ever.clone() };
        let api = self.fly.api().layer(from_fn_with_state(watch, watched));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
        self.servers.lock().unwrap().push(server);
        let time = Arc::new(LeapingTime(self.clock.clone()));
        FlyProvider::new(&url, deployment, Arc::new(Known), time).unwrap()
    }

    /// A machine disappears, as when its host is lost.
    pub async fn vanish(&self, machine: &Machine) -> bool {
        self.fly.vanish(APP, &machine.id).await
    }

    pub fn ever(&self) -> Ever {
        self.ever.lock().unwrap().clone()
    }

    /// The machines that are there.
    pub async fn machines(&self) -> Vec<Machine> {
        let shown = shown(&self.fly).await;
        let machine = |m: &Value| Machine {
            id: text(&m["id"]),
            worker: WorkerId::parse(text(&m["name"])).unwrap(),
            state: text(&m["state"]),
        };
        shown["machines"].as_array().unwrap().iter().map(machine).collect()
    }

    /// The names of the volumes that are there.
    pub async fn volumes(&self) -> Vec<String> {
        let shown = shown(&self.fly).await;
        shown["volumes"].as_array().unwrap().iter().map(|v| text(&v["name"])).collect()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.servers.lock().unwrap().iter().for_each(JoinHandle::abort);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn shown(fly: &FakeFly) -> Value {
    let request = Request::get(format!("/fly/apps/{APP}")).body(Body::empty()).unwrap();
    let answer = fly.control().oneshot(request).await.unwrap();
    serde_json::from_slice(&to_bytes(answer.into_body(), BODY_BYTES_MAX).await.unwrap()).unwrap()
}

async fn watched(State(watch): State<Watch>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let makes =
        request.method() == Method::POST && (path.ends_with("/machines") || path.ends_with("/volumes"));
    let changes = request.method() != Method::GET;
    let turn = watch.steps.as_ref().map_or(Turn::Taken, |steps| steps.next(changes));
    match &turn {
        Turn::Lost => return pending().await,
        Turn::HeldUp(gate) => gate.passed().await,
        Turn::Taken | Turn::Unanswered => {}
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    if makes {
        watch.note(&asked).await;
    }
    if let (Turn::Unanswered, Some(steps)) = (&turn, &watch.steps) {
        steps.ends();
        return pending().await;
    }
    answer
}

impl Watch {
    /// Notes what is there after something was to be made, also where the answer says that it was not.
    async fn note(&self, asked: &Value) {
        let shown = shown(&self.fly).await;
        let ids =
            |what: &str| shown[what].as_array().unwrap().iter().map(|v| text(&v["id"])).collect::<Vec<_>>();
        let mut ever = self.ever.lock().unwrap();
        ever.machines.extend(ids("machines"));
        ever.volumes.extend(ids("volumes"));
        if let Some(env) = asked["config"]["env"].as_object() {
            let worker = WorkerId::parse(text(&asked["name"])).unwrap();
            let conversation = env.get("OPENCLAW_CONVERSATION_ID").and_then(Value::as_str).map(str::to_owned);
            ever.conversations.insert(worker, conversation);
        }
    }
}
