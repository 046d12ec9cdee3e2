//! The folder and its owner file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::FilesError;
use super::names::{OWNER_FILE, is_of_deployment, is_reserved};

/// What the folder holds, as its owner file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// The conversation whose files the folder holds, if any.
    pub conversation_id: Option<String>,
    /// Whether the files come from a snapshot. Then even an empty folder is a state that needs a snapshot.
    #[serde(default)]
    pub restored: bool,
}

/// A folder with its owner file.
pub struct Folder(PathBuf);

impl Folder {
    /// Opens an empty folder, or one that already has an owner file.
    pub async fn open(path: PathBuf) -> Result<Self, FilesError> {
        let folder = Self(path);
        folder
            .run(|path| {
                fs::create_dir_all(path)?;
                if path.join(OWNER_FILE).exists() {
                    return Ok(true);
                }
                let is_empty = entries(path)?.is_empty();
                if is_empty {
                    write_owner_file(path, &Contents::default())?;
                }
                Ok(is_empty)
            })
            .await?
            .then_some(())
            .ok_or_else(|| FilesError::NotAWorkersFolder(folder.0.clone()))?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the folder holds. An unreadable owner file means no conversation.
    pub async fn contents(&self) -> Result<Contents, FilesError> {
        self.run(|path| Ok(serde_json::from_slice(&fs::read(path.join(OWNER_FILE))?).unwrap_or_default()))
            .await
    }

    pub async fn write_contents(&self, contents: Contents) -> Result<(), FilesError> {
        self.run(move |path| write_owner_file(path, &contents)).await
    }

    /// Whether the folder holds anything except empty folders.
    pub async fn has_files(&self) -> Result<bool, FilesError> {
        self.run(|path| has_files(entries(path)?)).await
    }

    /// Writes that the folder belongs to no conversation, and removes its content.
    pub async fn empty(&self) -> Result<(), FilesError> {
        self.run(|path| {
            write_owner_file(path, &Contents::default())?;
            for entry in entries(path)? {
                // A link to a folder counts as a file: its target stays.
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
        if !is_of_deployment(&path) {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(false)
}

/// All entries except the reserved ones.
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

/// Writes the owner file in one step, so that a crash leaves either the old file or the new one.
fn write_owner_file(path: &Path, contents: &Contents) -> io::Result<()> {
    let new = path.join(format!("{OWNER_FILE}.new"));
    fs::write(&new, serde_json::to_vec(contents).map_err(io::Error::other)?)?;
    fs::rename(new, path.join(OWNER_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_with_foreign_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
        let refused = Folder::open(dir.path().to_owned()).await.err().unwrap();
        assert!(matches!(refused, FilesError::NotAWorkersFolder(_)));
        assert_eq!(fs::read(dir.path().join("thesis.txt")).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn emptying_removes_links_but_not_their_targets() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("kept"), "kept").unwrap();
        let folder = Folder::open(dir.path().join("data")).await.unwrap();
        let contents = Contents { conversation_id: Some("c".into()), restored: true };
        folder.write_contents(contents.clone()).await.unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        assert!(folder.has_files().await.unwrap() && folder.contents().await.unwrap() == contents);
        folder.empty().await.unwrap();
        assert!(!folder.has_files().await.unwrap());
        assert_eq!(folder.contents().await.unwrap(), Contents::default());
        assert_eq!(fs::read(outside.path().join("kept")).unwrap(), b"kept");
    }
}
