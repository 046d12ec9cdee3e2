//! What the process that makes the provider decides: the program of workers and their folder.

use std::path::PathBuf;
use std::time::Duration;

/// What the machines of this provider run, and where.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// The worker program: a path, or a name to look up in PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The folder that `workers/` is in.
    pub data_dir: PathBuf,
    /// The time from SIGTERM to SIGKILL, in real time.
    pub stop_timeout: Duration,
}
