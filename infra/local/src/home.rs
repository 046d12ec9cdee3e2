//! The data folder of `dev`: the lock that allows one `dev` at a time, and the file with its URLs for other
//! processes.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::cargo_lambda;
use crate::seed::Demo;
use crate::stack::Stack;

/// The name of the file with the URLs of a running `dev`.
pub const DEV_FILE: &str = "dev.json";
/// The names of the files for `cargo lambda watch`.
const VARIABLES_FILE: &str = "functions.env";
const CARGO_LAMBDA_FILE: &str = "CargoLambda.toml";
/// The name of the file that the one `dev` of a folder locks. It also marks a folder as one of `dev`.
const LOCK_FILE: &str = "lock";

/// The content of `dev.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevFile {
    /// The public URL. Without functions, that of `cargo lambda watch`.
    pub url: String,
    /// An admin key.
    pub admin_key: String,
    /// The Bot API of the emulator, at the URL of `dev` itself.
    pub telegram_url: String,
    /// The AWS endpoint, for functions that run in their own process.
    pub aws_endpoint_url: String,
    /// The key id of the credentials that the AWS endpoint accepts.
    pub aws_access_key_id: String,
    /// Their secret.
    pub aws_secret_access_key: String,
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
    /// Locks the folder `dir`, and creates it if it does not exist. Only its owner can use the folder.
    ///
    /// # Errors
    /// Returns an error if another process has locked the folder, if it has other files than those of `dev`, or if it
    /// cannot be used.
    pub fn take(dir: &Path) -> anyhow::Result<Self> {
        let unusable = || format!("the data folder {} cannot be used", dir.display());
        std::fs::create_dir_all(dir)
            .with_context(|| format!("the data folder {} cannot be created", dir.display()))?;
        let path = dir.join(LOCK_FILE);
        let is_foreign = !path.exists() && std::fs::read_dir(dir).with_context(unusable)?.next().is_some();
        ensure!(
            !is_foreign,
            "{} has files that are not of `agent-factory dev`; choose another --data-dir",
            dir.display()
        );
        #[cfg(unix)]
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .with_context(unusable)?;
        let lock = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another `agent-factory dev` uses {}; stop it, or choose another --data-dir",
                    dir.display()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(unusable),
        }
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// Removes the content of the folder, except for the lock file.
    ///
    /// # Errors
    /// Returns an error with the path if a file in it cannot be removed.
    pub fn reset(&self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name() == LOCK_FILE {
                continue;
            }
            let path = entry.path();
            let is_dir = entry.file_type()?.is_dir();
            let removed = if is_dir { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.with_context(|| format!("{} cannot be removed", path.display()))?;
        }
        Ok(())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes `dev.json` for `stack`, and the files for functions that run alone.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn announce(&self, stack: &Stack) -> anyhow::Result<DevFile> {
        let file = DevFile {
            url: stack
                .cargo_lambda
                .as_ref()
                .map_or_else(|| stack.url.clone(), |_| cargo_lambda::public_url()),
            admin_key: stack.admin_key.clone(),
            telegram_url: stack.url.clone(),
            aws_endpoint_url: stack.aws_url.clone(),
            aws_access_key_id: stack.aws_credentials.access_key_id().to_owned(),
            aws_secret_access_key: stack.aws_credentials.secret_access_key().to_owned(),
            pid: std::process::id(),
            demo: stack.demo.clone(),
        };
        let json = serde_json::to_vec_pretty(&file)?;
        if let Some(files) = &stack.cargo_lambda {
            af_runtime::atomic_file::replace(&self.dir.join(VARIABLES_FILE), files.variables.as_bytes())?;
            af_runtime::atomic_file::replace(&self.dir.join(CARGO_LAMBDA_FILE), files.config.as_bytes())?;
        }
        af_runtime::atomic_file::replace(&self.dir.join(DEV_FILE), &json)?;
        Ok(file)
    }

    /// Removes the files that [`announce`](Self::announce) has written.
    pub fn withdraw(&self) {
        for name in [DEV_FILE, VARIABLES_FILE, CARGO_LAMBDA_FILE] {
            // A missing file is fine.
            let _ = std::fs::remove_file(self.dir.join(name));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_data_folder_is_0700_even_if_it_was_open_before() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (fresh, open) = (dir.path().join("a/b"), dir.path().join("open"));
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
        for path in [fresh, open] {
            let _home = Home::take(&path).unwrap();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn a_folder_with_foreign_files_is_refused_and_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
        let refused = Home::take(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("files that are not of"), "{refused}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_data_folder_that_cannot_be_written_is_named_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = format!("{:#}", Home::take(&file.join("data")).err().unwrap());
        assert!(refused.contains(&file.join("data").display().to_string()), "{refused}");
        // A folder in the place of the lock file.
        let taken = dir.path().join("taken");
        std::fs::create_dir_all(taken.join(LOCK_FILE)).unwrap();
        let refused = format!("{:#}", Home::take(&taken).err().unwrap());
        assert!(refused.contains(&taken.join(LOCK_FILE).display().to_string()), "{refused}");
    }
}
