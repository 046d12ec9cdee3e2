//! The backend on which the workers of a test run: the Fly emulator, or processes of this machine. It shows the
//! machines that exist now, and everything that was ever created.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex};

use af_domain::ids::{SecretRef, WorkerId};
use af_emulator_fly::{FlyEmulator, MAX_PAGE_LEN, Options};
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

use crate::local_provider::{self, StepProvider};
use af_tests::steps::{StepOutcome, Steps};

pub const APP: &str = "workers";
const TOKEN: &str = "FlyV1 fm2_secret";
/// The largest body of a request or an answer: a list of a hundred machines.
const MAX_BODY_BYTES: usize = 1 << 20;

struct FixedToken;

#[async_trait]
impl TokenSource for FixedToken {
    async fn token(&self, _: &SecretRef) -> Result<Option<SecretString>, ProviderError> {
        Ok(Some(SecretString::from(TOKEN)))
    }
}

/// A machine that exists now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub id: String,
    pub worker: WorkerId,
    pub state: String,
}

/// The backend on which workers run.
pub struct Backend {
    host: Host,
    clock: VirtualClock,
    created: Arc<Mutex<Created>>,
    servers: Mutex<Vec<JoinHandle<()>>>,
}

enum Host {
    /// The Fly emulator, with one app.
    Fly(FlyEmulator),
    /// Processes of this machine, with a folder that is removed after the test.
    Local { provider: LocalProvider, _folder: TempDir },
}

/// Everything that was ever created.
#[derive(Clone, Debug, Default)]
pub struct Created {
    /// Ids of machines.
    pub machines: BTreeSet<String>,
    /// Ids of volumes.
    pub volumes: BTreeSet<String>,
    /// The conversation for which each worker's machine was requested.
    pub conversations: BTreeMap<WorkerId, Option<String>>,
}

/// Records the requests of a function to the Fly emulator.
#[derive(Clone)]
struct Recorder {
    fly: FlyEmulator,
    steps: Option<Arc<Steps>>,
    created: Arc<Mutex<Created>>,
}

impl Backend {
    pub fn local(clock: &VirtualClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::Local { provider: local_provider::provider(folder.path()), _folder: folder };
        Self { host, clock: clock.clone(), created: Arc::default(), servers: Mutex::default() }
    }

    pub fn fly(clock: &VirtualClock) -> Self {
        let fly = FlyEmulator::open(Options {
            data_dir: None,
            time: Arc::new(LeapingTime(clock.clone())),
            entropy: Arc::new(Entropy::seeded(1)),
            token: Some(TOKEN.to_owned()),
            runner: None,
            max_page_len: MAX_PAGE_LEN,
        });
        let fly = fly.unwrap();
        fly.add_app(APP, "org");
        let host = Host::Fly(fly);
        Self { host, clock: clock.clone(), created: Arc::default(), servers: Mutex::default() }
    }

    /// The Fly emulator.
    pub fn machines_api(&self) -> &FlyEmulator {
        match &self.host {
            Host::Fly(fly) => fly,
            Host::Local { .. } => panic!("this backend is local"),
        }
    }

    /// A function's provider, whose requests are among its `steps`.
    pub async fn provider(&self, deployment: &str, steps: Option<Arc<Steps>>) -> Arc<dyn Provider> {
        let fly = match &self.host {
            Host::Fly(fly) => fly.clone(),
            Host::Local { provider: local, .. } => {
                return Arc::new(StepProvider::new(local.clone(), steps, self.created.clone()));
            }
        };
        let recorder = Recorder { fly: fly.clone(), steps, created: self.created.clone() };
        let api = fly.api().layer(from_fn_with_state(recorder, record_request));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
        self.servers.lock().unwrap().push(server);
        let time = Arc::new(LeapingTime(self.clock.clone()));
        Arc::new(FlyProvider::new(&url, deployment, Arc::new(FixedToken), time).unwrap())
    }

    /// The provider config of this backend.
    pub fn config(&self) -> ProviderConfig {
        match &self.host {
            Host::Fly(_) => ProviderConfig::Fly(FlyConfig {
                app_name: Some(APP.to_owned()),
                image: Some(format!("registry.fly.io/{APP}:1")),
                region: Some("fra".to_owned()),
                ..FlyConfig::default()
            }),
            Host::Local { .. } => ProviderConfig::Local(LocalConfig::default()),
        }
    }

    /// Whether requests to the table are also steps of a function. On the local backend, only calls of the provider
    /// are.
    pub const fn counts_table_requests(&self) -> bool {
        matches!(self.host, Host::Fly(_))
    }

    /// A machine disappears, as when its host is lost.
    pub async fn vanish(&self, machine: &Machine) -> bool {
        self.machines_api().vanish(APP, &machine.id).await
    }

    pub fn created(&self) -> Created {
        self.created.lock().unwrap().clone()
    }

    /// Forgets the worker of a machine, so that the scenario expects no row for it.
    pub fn forget(&self, worker: &WorkerId) {
        self.created.lock().unwrap().conversations.remove(worker);
    }

    /// The machines that exist now.
    pub async fn machines(&self) -> Vec<Machine> {
        let fly = match &self.host {
            Host::Fly(fly) => fly,
            Host::Local { provider: local, .. } => {
                let listed = local.list(&local_scope()).await.unwrap().ours;
                return listed.into_iter().map(Machine::from).collect();
            }
        };
        let shown = state_of(fly).await;
        let machine = |m: &Value| Machine {
            id: text(&m["id"]),
            worker: WorkerId::parse(text(&m["name"])).unwrap(),
            state: text(&m["state"]),
        };
        shown["machines"].as_array().unwrap().iter().map(machine).collect()
    }

    /// The names of the volumes that exist now.
    pub async fn volumes(&self) -> Vec<String> {
        let fly = match &self.host {
            Host::Fly(fly) => fly,
            Host::Local { provider: local, .. } => {
                let listed = local.list_volumes(&local_scope()).await.unwrap().ours;
                return listed.into_iter().map(|v| v.volume.name).collect();
            }
        };
        let shown = state_of(fly).await;
        shown["volumes"].as_array().unwrap().iter().map(|v| text(&v["name"])).collect()
    }
}

impl Drop for Backend {
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

fn local_scope() -> Scope {
    Scope { app_name: "local".to_owned(), deployment_id: String::new(), volume_name: String::new() }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn state_of(fly: &FlyEmulator) -> Value {
    let request = Request::get(format!("/fly/apps/{APP}")).body(Body::empty()).unwrap();
    let answer = fly.control().oneshot(request).await.unwrap();
    serde_json::from_slice(&to_bytes(answer.into_body(), MAX_BODY_BYTES).await.unwrap()).unwrap()
}

async fn record_request(State(recorder): State<Recorder>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let creates =
        request.method() == Method::POST && (path.ends_with("/machines") || path.ends_with("/volumes"));
    let changes = request.method() != Method::GET;
    let turn = recorder.steps.as_ref().map_or(StepOutcome::Taken, |steps| steps.next(changes));
    match &turn {
        StepOutcome::Lost => return pending().await,
        StepOutcome::HeldUp(gate) => gate.passed().await,
        StepOutcome::Taken | StepOutcome::Unanswered | StepOutcome::FailsLate(_) => {}
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.unwrap();
    let requested: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    if creates {
        recorder.record_created(&requested).await;
    }
    match (turn, &recorder.steps) {
        (StepOutcome::Unanswered, Some(steps)) => {
            steps.mark_ended();
            pending().await
        }
        (StepOutcome::FailsLate(gate), Some(steps)) => {
            steps.mark_ended();
            gate.passed().await;
            StatusCode::BAD_GATEWAY.into_response()
        }
        _ => answer,
    }
}

impl Recorder {
    /// Records what exists after a request to create something, also when the response reports a failure.
    async fn record_created(&self, requested: &Value) {
        let shown = state_of(&self.fly).await;
        let ids =
            |what: &str| shown[what].as_array().unwrap().iter().map(|v| text(&v["id"])).collect::<Vec<_>>();
        let mut created = self.created.lock().unwrap();
        created.machines.extend(ids("machines"));
        created.volumes.extend(ids("volumes"));
        if let Some(env) = requested["config"]["env"].as_object() {
            let worker = WorkerId::parse(text(&requested["name"])).unwrap();
            let conversation = env.get("OPENCLAW_CONVERSATION_ID").and_then(Value::as_str).map(str::to_owned);
            created.conversations.insert(worker, conversation);
        }
    }
}
