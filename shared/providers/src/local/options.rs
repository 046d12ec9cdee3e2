//! What the process that makes the provider decides: the program of workers and their folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// What the machines of this provider run, and where.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// The worker program: a path, or a name to look up in PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Whose program it is.
    pub kind: WorkerKind,
    /// Variables of every worker, which may be secret. They replace those of the deployment.
    pub env: BTreeMap<String, SecretString>,
    /// The folder that `workers/` is in.
    pub data_dir: PathBuf,
    /// The time from SIGTERM to SIGKILL, in real time.
    pub stop_timeout: Duration,
}

/// Whose program a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerKind {
    /// Our own. Paths on the volume become paths in the worker's folder.
    #[default]
    Reference,
    /// The program of an image, or one that starts its container. It finds or mounts its volume itself
    /// (`AGENT_FACTORY_DATA_DIR`), and has a gateway at a fixed port, so each worker gets a free one.
    Image,
}
