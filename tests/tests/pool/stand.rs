//! Where workers run, as a test sees it: what is there now, and what was ever made there. It is the Fly stand-in, or this
//! machine.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex};

use af_domain::ids::{SecretRef, WorkerId};
use af_emulator_fly::{FakeFly, MAX_PAGE_LEN, Options};
use af_providers::{
    FlyConfig, FlyProvider, LocalConfig, LocalProvider, Provider, ProviderConfig, ProviderError, Scope,
    TokenSource,
};
use af_runtime::entropy::Entropy;
use af_runtime::time::LeapingTime;
use af_runtime::virtual_clock::VirtualClock;
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::local::{self, Watched};
use crate::steps::{Steps, Turn};

pub const APP: &str = "workers";
const TOKEN: &str = "FlyV1 fm2_secret";
/// The largest body of a request or an answer: a list of a hundred machines.
const BODY_BYTES_MAX: usize = 1 << 20;

struct Known;

#[async_trait]
impl TokenSource for Known {
    async fn token(&self, _: &SecretRef) -> Result<Option<SecretString>, ProviderError> {
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

/// Where workers run.
pub struct Stand {
    place: Place,
    clock: VirtualClock,
    ever: Arc<Mutex<Ever>>,
    servers: Mutex<Vec<JoinHandle<()>>>,
}

enum Place {
    /// The stand-in, with one app.
    Fly(FakeFly),
    /// Processes, in a folder that goes with the test.
    Local { provider: LocalProvider, _folder: TempDir },
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
    pub fn local(clock: &VirtualClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Local { provider: local::provider(folder.path()), _folder: folder };
        Self { place, clock: clock.clone(), ever: Arc::default(), servers: Mutex::default() }
    }

    pub fn fly(clock: &VirtualClock) -> Self {
        let fly = FakeFly::open(Options {
            data_dir: None,
            time: Arc::new(LeapingTime(clock.clone())),
            entropy: Arc::new(Entropy::seeded(1)),
            token: Some(TOKEN.to_owned()),
            runner: None,
            max_page_len: MAX_PAGE_LEN,
        });
        let fly = fly.unwrap();
        fly.add_app(APP, "org");
        let place = Place::Fly(fly);
        Self { place, clock: clock.clone(), ever: Arc::default(), servers: Mutex::default() }
    }

    /// The stand-in.
    pub fn machines_api(&self) -> &FakeFly {
        match &self.place {
            Place::Fly(fly) => fly,
            Place::Local { .. } => panic!("this one is local"),
        }
    }

    /// A function's provider, whose requests are among its `steps`.
    pub async fn provider(&self, deployment: &str, steps: Option<Arc<Steps>>) -> Arc<dyn Provider> {
        let fly = match &self.place {
            Place::Fly(fly) => fly.clone(),
            Place::Local { provider: local, .. } => {
                return Arc::new(Watched::new(local.clone(), steps, self.ever.clone()));
            }
        };
        let watch = Watch { fly: fly.clone(), steps, ever: self.ever.clone() };
        let api = fly.api().layer(from_fn_with_state(watch, watched));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
        self.servers.lock().unwrap().push(server);
        let time = Arc::new(LeapingTime(self.clock.clone()));
        Arc::new(FlyProvider::new(&url, deployment, Arc::new(Known), time).unwrap())
    }

    /// What the deployment must be told of this place.
    pub fn config(&self) -> ProviderConfig {
        match &self.place {
            Place::Fly(_) => ProviderConfig::Fly(FlyConfig {
                app_name: Some(APP.to_owned()),
                image: Some(format!("registry.fly.io/{APP}:1")),
                region: Some("fra".to_owned()),
                ..FlyConfig::default()
            }),
            Place::Local { .. } => ProviderConfig::Local(LocalConfig::default()),
        }
    }

    /// Whether requests to the table are steps of a function, too: on this machine only what is particular to it is.
    pub const fn counts_the_table(&self) -> bool {
        matches!(self.place, Place::Fly(_))
    }

    /// A machine disappears, as when its host is lost.
    pub async fn vanish(&self, machine: &Machine) -> bool {
        self.machines_api().vanish(APP, &machine.id).await
    }

    pub fn ever(&self) -> Ever {
        self.ever.lock().unwrap().clone()
    }

    /// A machine was made for nobody, as far as a story is concerned.
    pub fn forget(&self, worker: &WorkerId) {
        self.ever.lock().unwrap().conversations.remove(worker);
    }

    /// The machines that are there.
    pub async fn machines(&self) -> Vec<Machine> {
        let fly = match &self.place {
            Place::Fly(fly) => fly,
            Place::Local { provider: local, .. } => {
                let listed = local.list(&here()).await.unwrap().ours;
                return listed.into_iter().map(Machine::from).collect();
            }
        };
        let shown = shown(fly).await;
        let machine = |m: &Value| Machine {
            id: text(&m["id"]),
            worker: WorkerId::parse(text(&m["name"])).unwrap(),
            state: text(&m["state"]),
        };
        shown["machines"].as_array().unwrap().iter().map(machine).collect()
    }

    /// The names of the volumes that are there.
    pub async fn volumes(&self) -> Vec<String> {
        let fly = match &self.place {
            Place::Fly(fly) => fly,
            Place::Local { provider: local, .. } => {
                let listed = local.list_volumes(&here()).await.unwrap().ours;
                return listed.into_iter().map(|v| v.volume.name).collect();
            }
        };
        let shown = shown(fly).await;
        shown["volumes"].as_array().unwrap().iter().map(|v| text(&v["name"])).collect()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.servers.lock().unwrap().iter().for_each(JoinHandle::abort);
    }
}

impl From<af_providers::Machine> for Machine {
    fn from(machine: af_providers::Machine) -> Self {
        let state = if machine.state.is_running() { "started" } else { "stopped" };
        Self { id: machine.machine.machine_id, worker: machine.worker_id, state: state.to_owned() }
    }
}

fn here() -> Scope {
    Scope { app_name: "local".to_owned(), deployment_id: String::new(), volume_name: String::new() }
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
        Turn::Taken | Turn::Unanswered | Turn::FailsLate(_) => {}
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    if makes {
        watch.note(&asked).await;
    }
    match (turn, &watch.steps) {
        (Turn::Unanswered, Some(steps)) => {
            steps.ends();
            pending().await
        }
        (Turn::FailsLate(gate), Some(steps)) => {
            steps.ends();
            gate.passed().await;
            StatusCode::BAD_GATEWAY.into_response()
        }
        _ => answer,
    }
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
