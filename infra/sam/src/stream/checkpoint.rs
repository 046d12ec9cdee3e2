//! How far each mapping has come in its table's stream.
//!
//! A checkpoint that is too old only means that records come again (delivery is at least once), so a file that was
//! torn by a power cut, or never written, is read as "from the oldest record" and nothing is flushed to disk.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Keeps the sequence number through which each mapping has passed all records.
pub trait Checkpoints: Send + Sync + 'static {
    /// Where `mapping` was; `None` before its first record.
    fn load(&self, mapping: &str) -> io::Result<Option<String>>;

    /// `mapping` has passed every record up to and with `sequence`.
    fn save(&self, mapping: &str, sequence: &str) -> io::Result<()>;
}

/// Checkpoints that live as long as the process: for `--ephemeral` and tests.
#[derive(Debug, Default)]
pub struct MemoryCheckpoints(Mutex<BTreeMap<String, String>>);

/// Checkpoints as one small file per mapping in a folder.
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
    /// Checkpoints in the folder `dir`, which is made when it does not exist.
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    fn path(&self, mapping: &str, extension: &str) -> PathBuf {
        // Ids are made of a template's logical ids (letters and digits); anything else must not leave the folder.
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
    fn a_checkpoint_outlives_the_process() {
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
    fn a_torn_file_means_from_the_oldest_record() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDir::open(dir.path()).unwrap();
        std::fs::write(dir.path().join("A.checkpoint"), "").unwrap();
        std::fs::write(dir.path().join("B.checkpoint"), "\0\0\0").unwrap();
        assert_eq!(checkpoints.load("A").unwrap(), None);
        assert_eq!(checkpoints.load("B").unwrap(), None);
    }

    #[test]
    fn an_id_cannot_leave_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDir::open(dir.path().join("streams")).unwrap();
        checkpoints.save("../escape", "1").unwrap();
        assert!(dir.path().join("streams").join("___escape.checkpoint").exists());
    }
}
