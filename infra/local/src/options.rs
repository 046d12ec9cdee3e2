//! The options of a stack.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use af_emulator_fly::Runner;
use af_providers::Providers;
use af_runtime::virtual_clock::VirtualClock;
use secrecy::SecretString;

/// The options of a stack.
pub struct StackOptions {
    /// The text of the template.
    pub template: String,
    /// The data folder; with `None`, all data is in memory.
    pub data_dir: Option<PathBuf>,
    /// The port of the public URL on loopback; 0 means a free one.
    pub port: u16,
    /// The clock.
    pub clock: VirtualClock,
    /// The available providers.
    pub providers: Providers,
    /// The configured provider.
    pub workers_on: WorkersOn,
    /// Variables of all workers, without secrets.
    pub worker_env: BTreeMap<String, String>,
    /// Where the functions of the template run.
    pub functions: FunctionsIn,
    /// The origins of web apps whose pages may call the API.
    pub allowed_origins: Vec<String>,
    /// Whether the stack has a demo agent with a bot and a user.
    pub demo: bool,
    /// A real bot for the demo agent, instead of one of the emulator.
    pub real_bot: Option<RealBot>,
}

/// A bot at a Bot API that is not the emulator of the stack.
pub struct RealBot {
    /// Its token.
    pub token: SecretString,
    /// The URL of the Bot API.
    pub api_url: String,
}

impl StackOptions {
    /// A stack with all functions, without workers and demo, whose data is in memory.
    pub fn in_memory(template: String, clock: VirtualClock) -> Self {
        Self {
            template,
            data_dir: None,
            port: 0,
            clock,
            providers: Providers::none(),
            workers_on: WorkersOn::Local,
            worker_env: BTreeMap::new(),
            functions: FunctionsIn::Stack,
            allowed_origins: Vec::new(),
            demo: false,
            real_bot: None,
        }
    }
}

/// Where the functions of the template run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionsIn {
    /// Beside the stack, in `cargo lambda watch`, by the clock of the machine. The stack runs the AWS endpoint, the
    /// emulators, the streams and the schedules.
    CargoLambda,
    /// In the process of the stack, by its virtual clock.
    Stack,
    /// In processes of their own, by the clock of the machine. The folder has the built binaries.
    Processes(PathBuf),
}

/// The configured provider of a local deployment.
#[derive(Clone)]
pub enum WorkersOn {
    /// Processes of this machine.
    Local,
    /// Machines of the Fly emulator.
    Fly {
        /// Runs the processes of the machines; without it, machines run nothing.
        runner: Option<Arc<dyn Runner>>,
    },
}
