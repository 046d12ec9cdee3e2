//! The data folder of `dev`: the lock that allows one `dev` at a time, and the file with its URLs for other
//! processes.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::seed::Demo;
use crate::stack::Stack;

/// The name of the file with the URLs of a running `dev`.
pub const DEV_FILE: &str = "dev.json";

/// The content of `dev.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevFile {
    /// The public URL.
    pub url: String,
    /// An admin key.
    pub admin_key: String,
    /// The Bot API of the emulator.
    pub telegram_url: String,
    /// The AWS endpoint, for functions that run in their own process.
    pub aws_endpoint_url: String,
    /// The process id of `dev`.
    pub pid: u32,
    /// The demo, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demo: Option<Demo>,
}

/// A data folder that this process has locked.
pub struct Home {
    dir: PathBuf,
    _lock: File,
}

impl Home {
    /// Locks the folder `dir`, and creates it if it does not exist.
    ///
    /// # Errors
    /// Returns an error if another process has locked the folder, or if it cannot be used.
    pub fn take(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("the data folder {} cannot be created", dir.display()))?;
        let lock = File::create(dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another `agent-factory dev` uses {}; stop it, or choose another --data-dir",
                    dir.display()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// Removes the content of the folder, except for the lock file.
    ///
    /// # Errors
    /// Returns an error if a file in it cannot be removed.
    pub fn reset(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name() == "lock" {
                continue;
            }
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes `dev.json` for `stack`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn announce(&self, stack: &Stack) -> anyhow::Result<DevFile> {
        let file = DevFile {
            url: stack.url.clone(),
            admin_key: stack.admin_key.clone(),
            telegram_url: stack.url.clone(),
            aws_endpoint_url: stack.aws_url.clone(),
            pid: std::process::id(),
            demo: stack.demo.clone(),
        };
        let json = serde_json::to_vec_pretty(&file)?;
        af_runtime::atomic_file::replace(&self.dir.join(DEV_FILE), &json)?;
        Ok(file)
    }

    /// Removes the file that [`announce`](Self::announce) has written.
    pub fn withdraw(&self) {
        // A missing file is fine.
        let _ = std::fs::remove_file(self.dir.join(DEV_FILE));
    }
}

impl DevFile {
    /// Reads the file of the `dev` that uses `dir`.
    ///
    /// # Errors
    /// Returns an error if there is none.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(DEV_FILE);
        let text = std::fs::read(&path).with_context(|| {
            format!("{} is not there: is `agent-factory dev` running on this folder?", path.display())
        })?;
        serde_json::from_slice(&text).with_context(|| format!("{} cannot be read", path.display()))
    }
}
