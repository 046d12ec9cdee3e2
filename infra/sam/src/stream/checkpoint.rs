//! Checkpoints: the position of each mapping in the stream of its table.
//!
//! A checkpoint that is too old only means that records are delivered again, because delivery is at least once. So a
//! file that a power cut has damaged, or that is missing, is read as "from the oldest record", and no write is
//! flushed to disk.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Stores, for each mapping, the sequence number up to which it has passed all records.
pub trait Checkpoints: Send + Sync + 'static {
    /// The checkpoint of `mapping`; `None` before its first record.
    fn load(&self, mapping: &str) -> io::Result<Option<String>>;

    /// Records that `mapping` has passed every record up to and including `sequence`.
    fn save(&self, mapping: &str, sequence: &str) -> io::Result<()>;
}

/// Checkpoints in memory, for `--ephemeral` and tests.
#[derive(Debug, Default)]
pub struct MemoryCheckpoints(Mutex<BTreeMap<String, String>>);

/// Checkpoints in a folder, one small file per mapping.
#[derive(Debug)]
pub struct CheckpointDir(PathBuf);

impl Checkpoints for MemoryCheckpoints {
    fn load(&self, mapping: &str) -> io::Result<Option<String>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(mapping).cloned())
    }

    fn save(&self, mapping: &str, sequence: &str) -> io::Result<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(mapping.to_owned(), sequence.to_owned());
        Ok(())
    }
}

impl CheckpointDir {
    /// Opens the folder `dir`, and creates it if it does not exist.
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    fn path(&self, mapping: &str, extension: &str) -> PathBuf {
        // Ids consist of logical ids of a template, which are letters and digits. No other id may lead out of the
        // folder.
        let name: String = mapping.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        self.0.join(format!("{name}.{extension}"))
    }
}

impl Checkpoints for CheckpointDir {
    fn load(&self, mapping: &str) -> io::Result<Option<String>> {
        match std::fs::read_to_string(self.path(mapping, "checkpoint")) {
            Ok(text) => {
                let sequence = text.trim();
                let whole = !sequence.is_empty() && sequence.bytes().all(|byte| byte.is_ascii_digit());
                Ok(whole.then(|| sequence.to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&self, mapping: &str, sequence: &str) -> io::Result<()> {
        let fresh = self.path(mapping, "new");
        std::fs::write(&fresh, sequence)?;
        std::fs::rename(fresh, self.path(mapping, "checkpoint"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDir::open(dir.path().join("streams")).unwrap();
        assert_eq!(checkpoints.load("ReconcileReady").unwrap(), None);
        checkpoints.save("ReconcileReady", "0007").unwrap();
        checkpoints.save("ReconcileReady", "0009").unwrap();
        let again = CheckpointDir::open(dir.path().join("streams")).unwrap();
        assert_eq!(again.load("ReconcileReady").unwrap().as_deref(), Some("0009"));
        assert_eq!(again.load("EffectsChanges").unwrap(), None);
    }

    #[test]
    fn a_damaged_file_means_from_the_oldest_record() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDir::open(dir.path()).unwrap();
        std::fs::write(dir.path().join("A.checkpoint"), "").unwrap();
        std::fs::write(dir.path().join("B.checkpoint"), "\0\0\0").unwrap();
        assert_eq!(checkpoints.load("A").unwrap(), None);
        assert_eq!(checkpoints.load("B").unwrap(), None);
    }

    #[test]
    fn an_id_cannot_lead_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDir::open(dir.path().join("streams")).unwrap();
        checkpoints.save("../escape", "1").unwrap();
        assert!(dir.path().join("streams").join("___escape.checkpoint").exists());
    }
}
