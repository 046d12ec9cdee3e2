//! Checkpoints: the position of each mapping in the stream of its table.
//!
//! A checkpoint that is too old only means that records are delivered again, because delivery is at least once. So a
//! file that a power cut has damaged, or that is missing, is read as "from the oldest record", and no write is
//! flushed to disk.

use std::io;
use std::path::PathBuf;

/// A folder with one small file per mapping: the sequence number up to which it has passed all records.
#[derive(Debug)]
pub struct CheckpointDir(PathBuf);

impl CheckpointDir {
    /// Opens the folder `dir`, and creates it if it does not exist.
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        let created = std::fs::create_dir_all(&dir);
        created.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
        Ok(Self(dir))
    }

    /// The checkpoint of `mapping`; `None` before its first record.
    pub(super) fn load(&self, mapping: &str) -> io::Result<Option<String>> {
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

    /// Records that `mapping` has passed every record up to and including `sequence`.
    pub(super) fn save(&self, mapping: &str, sequence: &str) -> io::Result<()> {
        let fresh = self.path(mapping, "new");
        let saved = std::fs::write(&fresh, sequence)
            .and_then(|()| std::fs::rename(&fresh, self.path(mapping, "checkpoint")));
        saved.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", fresh.display())))
    }

    fn path(&self, mapping: &str, extension: &str) -> PathBuf {
        // Ids consist of logical ids of a template, which are letters and digits. No other id may lead out of the
        // folder.
        let name: String = mapping.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        self.0.join(format!("{name}.{extension}"))
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
