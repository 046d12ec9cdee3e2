//! The Fly emulator: the part of the Machines API that the `fly` provider uses, on loopback.
//!
//! It checks every request, keeps the rate limits of Fly, lets machines change state by the virtual clock, and fails
//! when a fault is queued. A machine runs nothing or, with a [`Runner`], a real process. With a data folder, the state
//! is kept in `fly.json`, so that a `dev` that was killed finds its machines again.

mod action;
mod api;
mod call;
mod checks;
mod control;
mod faults;
mod limits;
mod machines;
mod runner;
mod state;
mod volumes;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use af_runtime::entropy::Entropy;
use af_runtime::time::Time;
use anyhow::Context;
use axum::Router;

use call::{Call, Refused};
use limits::Limits;
use state::{App, State};

pub use action::Action;
pub use faults::Fault;
pub use runner::Runner;
pub use state::MachineState;

/// The file that keeps the state.
const FILE: &str = "fly.json";
/// The region of a machine or volume whose request names none.
const REGION: &str = "fra";

/// How the emulator is set up.
pub struct Options {
    /// The folder that keeps the state; `None` keeps it in memory only.
    pub data_dir: Option<PathBuf>,
    /// How it tells the time and waits.
    pub time: Arc<dyn Time>,
    /// The source of ids.
    pub entropy: Arc<Entropy>,
    /// The only accepted token; `None` accepts any.
    pub token: Option<String>,
    /// Runs the processes of machines; without it, machines run nothing.
    pub runner: Option<Arc<dyn Runner>>,
    /// Items of a page at most, whatever limit a request names.
    pub max_page_len: usize,
}

/// Items of a page at most, as on Fly.
pub const MAX_PAGE_LEN: usize = 1_000;

/// The emulator. Cheap to clone.
#[derive(Clone)]
pub struct FlyEmulator {
    inner: Arc<Inner>,
}

struct Inner {
    file: Option<PathBuf>,
    options: Options,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    state: State,
    limits: Limits,
    faults: faults::Faults,
    /// Requests that were refused by a rate limit.
    refused_for_rate: u64,
    requests: u64,
}

impl Memory {
    /// The app that a call names.
    fn app(&mut self, call: &Call) -> Result<&mut App, Refused> {
        self.state.apps.get_mut(&call.target.app).ok_or_else(|| Refused::not_found("app"))
    }
}

impl FlyEmulator {
    /// Opens the emulator with the state of its data folder.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn open(options: Options) -> anyhow::Result<Self> {
        let file = options.data_dir.as_deref().map(|dir| dir.join(FILE));
        let state = match &file {
            Some(path) => read(path)?,
            None => State::default(),
        };
        let memory = Mutex::new(Memory { state, ..Memory::default() });
        Ok(Self { inner: Arc::new(Inner { file, options, memory }) })
    }

    /// Creates an app, unless it exists.
    pub fn add_app(&self, name: &str, organization: &str) {
        let mut memory = self.inner.lock();
        let app = memory.state.apps.entry(name.to_owned()).or_default();
        organization.clone_into(&mut app.organization);
        self.inner.keep(&memory.state);
    }

    /// Queues a fault for the next `times` requests of this action.
    pub fn fault(&self, action: Action, fault: &Fault, times: usize) {
        self.inner.lock().faults.queue(action, fault, times);
    }

    /// Lets a machine disappear, as when its host is lost. Its volume stays.
    pub async fn vanish(&self, app: &str, machine: &str) -> bool {
        let gone = {
            let mut memory = self.inner.lock();
            let gone = memory.state.apps.get_mut(app).and_then(|app| app.machines.remove(machine));
            if gone.is_some() {
                self.inner.keep(&memory.state);
            }
            gone
        };
        if let (Some(runner), Some(machine)) = (&self.inner.options.runner, &gone)
            && let Err(error) = runner.kill(&machine.name).await
        {
            tracing::error!(machine = machine.name, %error, "a machine that vanished still runs");
        }
        gone.is_some()
    }

    /// How many requests were refused by a rate limit.
    pub fn refused_for_rate(&self) -> u64 {
        self.inner.lock().refused_for_rate
    }

    /// How many requests arrived.
    pub fn requests(&self) -> u64 {
        self.inner.lock().requests
    }

    /// The Machines API, to be mounted where its base URL (without `/v1`) points.
    pub fn api(&self) -> Router {
        api::router(self.clone())
    }

    /// The control routes, to be mounted below `/_local`.
    pub fn control(&self) -> Router {
        control::router(self.clone())
    }
}

fn read(path: &Path) -> anyhow::Result<State> {
    let contents = af_runtime::atomic_file::read(path)?;
    let state = contents.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    Ok(state.with_context(|| format!("{} cannot be read", path.display()))?.unwrap_or_default())
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present moment, epoch ms.
    fn now(&self) -> u64 {
        u64::try_from(self.options.time.now().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes the state to the file. When that fails, the state lives on in memory until the process ends.
    fn keep(&self, state: &State) {
        let Some(path) = &self.file else { return };
        let written = serde_json::to_vec(state)
            .map_err(std::io::Error::other)
            .and_then(|json| af_runtime::atomic_file::replace(path, &json));
        if let Err(error) = written {
            tracing::error!(%error, "the Fly emulator cannot write its state");
        }
    }

    /// A random id of `len` letters and digits.
    fn id(&self, len: usize) -> String {
        let mut id = data_encoding::HEXLOWER.encode(&self.options.entropy.bytes::<16>());
        id.truncate(len);
        id
    }

    /// Updates the states of machines: by time, and by whether their processes run.
    async fn catch_up(&self, app: &str) {
        let running = match &self.options.runner {
            None => None,
            Some(runner) => match runner.running().await {
                Ok(running) => Some(running),
                Err(error) => {
                    tracing::error!(%error, "the processes of machines cannot be listed");
                    None
                }
            },
        };
        let now = self.now();
        let mut memory = self.lock();
        let Some(app) = memory.state.apps.get_mut(app) else { return };
        app.move_on(now);
        if let Some(running) = running {
            let over = |m: &&mut state::Machine| {
                let settled = m.is_there() && !m.launching && m.next.is_none();
                settled && !running.get(&m.name).copied().unwrap_or_default()
            };
            app.machines.values_mut().filter(over).for_each(state::Machine::ended);
        }
    }
}
