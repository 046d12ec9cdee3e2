//! What a stack is started with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use af_emulator_fly::Runner;
use af_providers::Providers;
use af_runtime::virtual_clock::VirtualClock;

/// How a stack comes up.
pub struct StackOptions {
    /// The template's text.
    pub template: String,
    /// Where everything is kept; `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
    /// The port of the public URL on loopback; 0 takes a free one.
    pub port: u16,
    /// The clock.
    pub clock: VirtualClock,
    /// Where workers can run.
    pub providers: Providers,
    /// Which of them the deployment is configured for.
    pub workers_on: WorkersOn,
    /// Non-secret variables for every worker.
    pub worker_env: BTreeMap<String, String>,
    /// Whether the template's functions run here; otherwise only the AWS endpoint and the emulators do.
    pub functions: bool,
    /// Whether a demo agent with its bot and user is there.
    pub demo: bool,
}

/// The provider that a deployment on this machine is configured for.
#[derive(Clone)]
pub enum WorkersOn {
    /// Processes of this machine.
    Local,
    /// Machines of the Fly emulator.
    Fly {
        /// What they run; without one, they run nothing.
        runner: Option<Arc<dyn Runner>>,
    },
}
