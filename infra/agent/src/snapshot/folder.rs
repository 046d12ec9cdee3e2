//! The folder and its mark.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use af_domain::skill::MARKER as SKILL_MARKER;
use serde::{Deserialize, Serialize};

use super::FilesError;
use crate::skills::install::STAGING;

/// The file that says whose files the folder holds.
pub const MARKER: &str = ".agent-factory.json";
/// What stands in the folder itself and is nobody's: the mark, and what ext4 keeps in the root of a volume.
const RESERVED: [&str; 2] = [MARKER, "lost+found"];

/// Whether an entry of the folder itself is none of the conversation's.
pub fn is_reserved(name: &std::ffi::OsStr) -> bool {
    RESERVED.iter().any(|reserved| name == *reserved)
}

/// Whether this is the deployment's: the folder of a global skill, or the one where skills are made.
pub fn is_the_deployments(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == STAGING) || path.join(SKILL_MARKER).is_file()
}

/// What the folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holds {
    /// Whose files; nobody's when there is none.
    pub conversation_id: Option<String>,
    /// Whether they came from a snapshot: then even an empty folder is a state to keep.
    #[serde(default)]
    pub restored: bool,
}

impl Holds {
    /// Whether these are this conversation's files.
    pub fn is_of(&self, conversation_id: &str) -> bool {
        self.conversation_id.as_deref() == Some(conversation_id)
    }
}

/// A folder with its mark.
pub struct Folder(PathBuf);

impl Folder {
    /// Adopts an empty folder, or one that has our mark already.
    pub async fn open(path: PathBuf) -> Result<Self, FilesError> {
        let folder = Self(path);
        folder
            .run(|path| {
                fs::create_dir_all(path)?;
                if path.join(MARKER).exists() {
                    return Ok(true);
                }
                let is_empty = entries(path)?.is_empty();
                if is_empty {
                    write_mark(path, &Holds::default())?;
                }
                Ok(is_empty)
            })
            .await?
            .then_some(())
            .ok_or_else(|| FilesError::NotOurs(folder.0.clone()))?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it holds. A mark that cannot be read says nobody's.
    pub async fn holds(&self) -> Result<Holds, FilesError> {
        self.run(|path| Ok(serde_json::from_slice(&fs::read(path.join(MARKER))?).unwrap_or_default())).await
    }

    pub async fn mark(&self, holds: Holds) -> Result<(), FilesError> {
        self.run(move |path| write_mark(path, &holds)).await
    }

    /// Whether there is anything but empty folders in it.
    pub async fn has_files(&self) -> Result<bool, FilesError> {
        self.run(|path| has_files(entries(path)?)).await
    }

    /// Marks it as nobody's and removes what is in it.
    pub async fn empty(&self) -> Result<(), FilesError> {
        self.run(|path| {
            write_mark(path, &Holds::default())?;
            for entry in entries(path)? {
                // A link to a folder is a file here: what it leads to stays.
                if fs::symlink_metadata(&entry)?.is_dir() {
                    fs::remove_dir_all(&entry)?;
                } else {
                    fs::remove_file(&entry)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, FilesError> {
        let path = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&path)).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(FilesError::Folder)
    }
}

fn has_files(mut left: Vec<PathBuf>) -> io::Result<bool> {
    while let Some(path) = left.pop() {
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Ok(true);
        }
        if !is_the_deployments(&path) {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(false)
}

/// All entries but the reserved ones.
fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !is_reserved(&entry.file_name()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// In one step, so that a crash leaves the mark before or the new one.
fn write_mark(path: &Path, holds: &Holds) -> io::Result<()> {
    let new = path.join(format!("{MARKER}.new"));
    fs::write(&new, serde_json::to_vec(holds).map_err(io::Error::other)?)?;
    fs::rename(new, path.join(MARKER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_with_somebodys_files_is_not_adopted() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
        let refused = Folder::open(dir.path().to_owned()).await.err().unwrap();
        assert!(matches!(refused, FilesError::NotOurs(_)));
        assert_eq!(fs::read(dir.path().join("thesis.txt")).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn emptying_removes_links_and_not_what_they_lead_to() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("kept"), "kept").unwrap();
        let folder = Folder::open(dir.path().join("data")).await.unwrap();
        let holds = Holds { conversation_id: Some("c".into()), restored: true };
        folder.mark(holds.clone()).await.unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        assert!(folder.has_files().await.unwrap() && folder.holds().await.unwrap() == holds);
        folder.empty().await.unwrap();
        assert!(!folder.has_files().await.unwrap());
        assert_eq!(folder.holds().await.unwrap(), Holds::default());
        assert_eq!(fs::read(outside.path().join("kept")).unwrap(), b"kept");
    }
}
