//! The Fly stand-in: the part of the Machines API that the `fly` provider uses, on loopback.
//!
//! It checks what it receives, counts requests as Fly does, moves machines on by the virtual clock, and fails on
//! order. A machine runs nothing, or, with a [`Runner`], a real process. What it knows is kept in `fly.json` where
//! it has a folder: a `dev` that was killed finds its machines again.
//!
//! | Here | What it is |
//! |---|---|
//! | `action.rs`, `api.rs` | routes, and what is common to all: token, app, rate, faults |
//! | `machines.rs`, `volumes.rs` | what each does |
//! | `checks.rs`, `limits.rs` | what Fly takes, and how often |
//! | `state.rs`, `runner.rs`, `time.rs` | machines, what they run, and how time passes |
//! | `control.rs`, `faults.rs` | for whoever tries things out |

mod action;
mod api;
mod checks;
mod control;
mod faults;
mod limits;
mod machines;
mod runner;
mod state;
mod time;
mod volumes;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use af_providers::Time;
use af_runtime::entropy::Entropy;
use anyhow::Context;
use axum::Router;

use limits::Limits;
use state::State;

pub use action::Action;
pub use faults::Fault;
pub use runner::Runner;
pub use state::MachineState;
pub use time::{ClockTime, LeapingTime};

/// The file that keeps what the stand-in knows.
const FILE: &str = "fly.json";

/// What the stand-in is made of.
pub struct Options {
    /// Where it keeps what it knows; nowhere when none.
    pub data_dir: Option<PathBuf>,
    /// How it tells and passes time.
    pub time: Arc<dyn Time>,
    /// The source of ids.
    pub entropy: Arc<Entropy>,
    /// The one token that opens it; any when none.
    pub token: Option<String>,
    /// What its machines run.
    pub runner: Option<Arc<dyn Runner>>,
    /// Items of a page at most, whatever is asked for.
    pub page_len_max: usize,
}

/// Items of a page at most, as on Fly.
pub const PAGE_LEN_MAX: usize = 1_000;

/// The stand-in. Cheap to clone.
#[derive(Clone)]
pub struct FakeFly {
    inner: Arc<Inner>,
}

struct Inner {
    file: Option<PathBuf>,
    time: Arc<dyn Time>,
    entropy: Arc<Entropy>,
    token: Option<String>,
    runner: Option<Arc<dyn Runner>>,
    page_len_max: usize,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    state: State,
    limits: Limits,
    faults: faults::Faults,
    /// Requests that came too often.
    refused_for_rate: u64,
    requests: u64,
}

impl FakeFly {
    /// Opens the stand-in with what it knew before.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn open(options: Options) -> anyhow::Result<Self> {
        let file = options.data_dir.as_deref().map(|dir| dir.join(FILE));
        let state = match &file {
            Some(path) => read(path)?,
            None => State::default(),
        };
        let inner = Inner {
            file,
            time: options.time,
            entropy: options.entropy,
            token: options.token,
            runner: options.runner,
            page_len_max: options.page_len_max,
            memory: Mutex::new(Memory { state, ..Memory::default() }),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes an app, unless it is there.
    pub fn add_app(&self, name: &str, organization: &str) {
        let mut memory = self.inner.lock();
        let app = memory.state.apps.entry(name.to_owned()).or_default();
        organization.clone_into(&mut app.organization);
        self.inner.keep(&memory.state);
    }

    /// Orders a failure for the next `times` requests of this kind.
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
        if let (Some(runner), Some(machine)) = (&self.inner.runner, &gone)
            && let Err(error) = runner.kill(&machine.name).await
        {
            tracing::error!(machine = machine.name, %error, "a machine that vanished still runs");
        }
        gone.is_some()
    }

    /// How many requests came too often and were refused.
    pub fn refused_for_rate(&self) -> u64 {
        self.inner.lock().refused_for_rate
    }

    /// How many requests came in all.
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
    let contents = crate::atomic_file::read(path)?;
    let state = contents.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    Ok(state.with_context(|| format!("{} cannot be read", path.display()))?.unwrap_or_default())
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present moment, epoch ms.
    fn now(&self) -> u64 {
        u64::try_from(self.time.now().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes down what is known. It is a stand-in: what it cannot write down it still knows until it ends.
    fn keep(&self, state: &State) {
        let Some(path) = &self.file else { return };
        let written = serde_json::to_vec(state)
            .map_err(std::io::Error::other)
            .and_then(|json| crate::atomic_file::replace(path, &json));
        if let Err(error) = written {
            tracing::error!(%error, "the Fly stand-in could not write down what happened");
        }
    }

    /// A name for something new: letters and digits.
    fn id(&self, len: usize) -> String {
        let mut id = data_encoding::HEXLOWER.encode(&self.entropy.bytes::<16>());
        id.truncate(len);
        id
    }

    /// Brings machines to where they are: by time, and by what their processes do.
    async fn catch_up(&self, app: &str) {
        let running = match &self.runner {
            None => None,
            Some(runner) => match runner.running().await {
                Ok(running) => Some(running),
                Err(error) => {
                    tracing::error!(%error, "machines' processes cannot be seen");
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
