//! The folders: one for each worker, with the machine's record, its volume and its log.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use af_domain::ids::WorkerId;
use af_runtime::atomic_file;
use serde::{Deserialize, Serialize};

use super::process::ProcessId;

/// Logs and volumes may hold users' messages, so only their owner may read them.
const FOLDER_MODE: u32 = 0o700;

/// `machine.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The image in the request for the machine.
    pub image: String,
    /// The state of its process.
    #[serde(flatten)]
    pub life: Life,
}

/// The recorded state of a machine's process. The process table says whether the process really runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Life {
    /// The process is about to start. Or it was started by a parent that died before it could record the pid.
    Intended,
    /// The process was started.
    Started(ProcessId),
    /// The process was asked to stop.
    Stopping(ProcessId),
    /// The process has ended, and we have waited for it.
    Ended {
        /// Whether it was asked to stop, or ended by itself without an error.
        #[serde(rename = "well")]
        as_expected: bool,
        /// Its exit code; `None` after a signal.
        code: Option<i32>,
    },
}

impl Life {
    /// The process, while one may run.
    pub const fn process(self) -> Option<ProcessId> {
        match self {
            Self::Started(process) | Self::Stopping(process) => Some(process),
            Self::Intended | Self::Ended { .. } => None,
        }
    }
}

/// The folder `<data_dir>/workers`.
#[derive(Clone, Debug)]
pub struct Home {
    workers: PathBuf,
    lock: PathBuf,
}

/// The right to read and change records, until dropped.
pub struct Locked(#[expect(dead_code, reason = "the file is held only for its lock")] File);

impl Home {
    /// `data_dir` is absolute, so that a parent in another folder finds the same marks.
    pub fn new(data_dir: &Path) -> Self {
        Self { workers: data_dir.join("workers"), lock: data_dir.join("workers.lock") }
    }

    /// Waits for the lock on all records. It is a file lock, so it excludes other threads, other providers and other
    /// processes. A fork copies its descriptor into the child, and exec closes it there. So when a parent is killed while
    /// it starts a process, the next parent gets the lock only after that process has failed or carries its mark.
    pub fn lock(&self) -> io::Result<Locked> {
        folder(&self.workers)?;
        let file = OpenOptions::new().create(true).append(true).open(&self.lock)?;
        file.lock()?;
        Ok(Locked(file))
    }

    pub fn folder(&self, worker: &WorkerId) -> PathBuf {
        self.workers.join(worker.as_str())
    }

    /// The mark of a machine's processes: its folder, which is unique on this machine.
    pub fn mark(&self, worker: &WorkerId) -> OsString {
        self.folder(worker).into_os_string()
    }

    pub fn volume(&self, worker: &WorkerId) -> PathBuf {
        self.folder(worker).join("data")
    }

    pub fn create_volume(&self, worker: &WorkerId) -> io::Result<PathBuf> {
        let path = self.volume(worker);
        folder(&path)?;
        Ok(path)
    }

    pub fn open_log(&self, worker: &WorkerId) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(self.folder(worker).join("worker.log"))
    }

    /// The workers that have a folder.
    pub fn workers(&self) -> io::Result<Vec<WorkerId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.workers)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                found.extend(entry.file_name().to_str().and_then(|name| WorkerId::parse(name).ok()));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn record_path(&self, worker: &WorkerId) -> PathBuf {
        self.folder(worker).join("machine.json")
    }

    /// The worker's record. A record that cannot be read counts as an intent: its process is found by its mark.
    pub fn read(&self, worker: &WorkerId, _locked: &Locked) -> io::Result<Option<Record>> {
        let Some(bytes) = atomic_file::read(&self.record_path(worker))? else { return Ok(None) };
        let record = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(worker_id = %worker, %error, "machine.json cannot be read");
            Record { image: String::new(), life: Life::Intended }
        });
        Ok(Some(record))
    }

    /// Replaces the record in one step.
    pub fn write(&self, worker: &WorkerId, record: &Record, _locked: &Locked) -> io::Result<()> {
        atomic_file::replace(&self.record_path(worker), &serde_json::to_vec(record)?)
    }

    pub fn remove_record(&self, worker: &WorkerId, _locked: &Locked) -> io::Result<()> {
        fs::remove_file(self.record_path(worker))
    }

    pub fn remove_folder(&self, worker: &WorkerId, _locked: &Locked) -> io::Result<()> {
        fs::remove_dir_all(self.folder(worker))
    }
}

fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}
