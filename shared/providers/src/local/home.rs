//! The folders: one per worker, with the machine's record, its volume and its log.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use af_domain::ids::WorkerId;
use serde::{Deserialize, Serialize};

use super::process::ProcessId;

/// Logs and volumes may hold what users said: nobody but their owner reads them.
const FOLDER_MODE: u32 = 0o700;

/// `machine.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The image that the machine was asked for with.
    pub image: String,
    /// How far its life has come.
    #[serde(flatten)]
    pub life: Life,
}

/// A machine's life as recorded; whether its process really runs is asked of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Life {
    /// Its process is about to be started, or was, by a parent that died before it could write which.
    Intended,
    /// Its process was started.
    Started(ProcessId),
    /// Its process was told to end.
    Stopping(ProcessId),
    /// Its process has ended and was reaped by us.
    Ended {
        /// Whether it was told to, or ended by itself without an error.
        well: bool,
        /// Its exit code; none after a signal.
        code: Option<i32>,
    },
}

impl Life {
    /// The process, while there may be one.
    pub const fn process(self) -> Option<ProcessId> {
        match self {
            Self::Started(process) | Self::Stopping(process) => Some(process),
            Self::Intended | Self::Ended { .. } => None,
        }
    }
}

/// `<data_dir>/workers` and what is in it.
#[derive(Clone, Debug)]
pub struct Home {
    workers: PathBuf,
    lock: PathBuf,
}

/// The right to read and change records, until dropped.
pub struct Locked(#[expect(dead_code, reason = "held for its lock only")] File);

impl Home {
    /// `data_dir` is absolute, so that a parent started elsewhere recognises the same marks.
    pub fn new(data_dir: &Path) -> Self {
        Self { workers: data_dir.join("workers"), lock: data_dir.join("workers.lock") }
    }

    /// Waits for the lock on all records. It is a file lock, so it holds between threads, between two
    /// providers and between two processes alike. Its descriptor is copied into a child by fork and closed by
    /// exec: when a parent is killed while it starts a process, the next parent gets the lock only once that
    /// process has either failed or carries its mark.
    pub fn lock(&self) -> io::Result<Locked> {
        folder(&self.workers)?;
        let file = OpenOptions::new().create(true).append(true).open(&self.lock)?;
        file.lock()?;
        Ok(Locked(file))
    }

    pub fn folder(&self, worker: &WorkerId) -> PathBuf {
        self.workers.join(worker.as_str())
    }

    /// What a machine's processes carry: its folder, which is unique on this machine as worker ids are in it.
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

    /// The worker's record. One that cannot be read is an intent: its process, if any, is found by its mark.
    pub fn read(&self, worker: &WorkerId, _locked: &Locked) -> io::Result<Option<Record>> {
        let bytes = match fs::read(self.record_path(worker)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let record = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(worker_id = %worker, %error, "machine.json cannot be read");
            Record { image: String::new(), life: Life::Intended }
        });
        Ok(Some(record))
    }

    /// Replaces the record in one step: a killed parent leaves the old or the new one, never half of one.
    pub fn write(&self, worker: &WorkerId, record: &Record, _locked: &Locked) -> io::Result<()> {
        let new = self.folder(worker).join("machine.json.new");
        fs::write(&new, serde_json::to_vec(record)?)?;
        fs::rename(new, self.record_path(worker))
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
