//! The folder and its owner file.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::{getegid, geteuid};
use serde::{Deserialize, Serialize};

use super::error::FilesError;
use super::names::{OWNER_FILE, is_of_deployment, is_reserved};
use crate::tree;

/// Largest owner file that is read: a conversation's id has at most some hundred bytes.
const MAX_OWNER_FILE_BYTES: u64 = 16 * 1024;
/// The mode of a folder that only its owner can use.
const CLOSED_MODE: u32 = 0o700;

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

impl Contents {
    /// The files of a conversation.
    pub fn of(conversation_id: &str, restored: bool) -> Self {
        Self { conversation_id: Some(conversation_id.to_owned()), restored }
    }
}

/// A folder with its owner file.
pub struct Folder {
    path: PathBuf,
    /// What the owner file says. It is read only once, because programs can write in the folder and must not change it.
    contents: Mutex<Contents>,
    fresh: AtomicBool,
}

impl Folder {
    /// Opens an empty folder, or one that already has an owner file.
    pub async fn open(path: PathBuf) -> Result<Self, FilesError> {
        let folder = Self { path, contents: Mutex::default(), fresh: AtomicBool::new(false) };
        let contents = folder
            .run(|path| {
                fs::create_dir_all(path)?;
                if fs::symlink_metadata(path.join(OWNER_FILE)).is_ok() {
                    return Ok(Some(read_owner_file(path)));
                }
                if entries(path)?.is_empty() {
                    write_owner_file(path, &Contents::default())?;
                    return Ok(Some(Contents::default()));
                }
                Ok(None)
            })
            .await?
            .ok_or_else(|| FilesError::NotAWorkersFolder(folder.path.clone()))?;
        let is_fresh = contents.conversation_id.is_none() && !folder.has_files().await?;
        folder.remember(contents);
        folder.fresh.store(is_fresh, Ordering::Relaxed);
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the folder holds.
    pub fn contents(&self) -> Contents {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the folder was empty when this process opened it, and has belonged to no conversation since. Then its files
    /// belong to the deployment and to the engine.
    pub fn is_fresh(&self) -> bool {
        self.fresh.load(Ordering::Relaxed)
    }

    fn remember(&self, contents: Contents) {
        self.fresh.store(false, Ordering::Relaxed);
        *self.contents.lock().unwrap_or_else(PoisonError::into_inner) = contents;
    }

    pub async fn write_contents(&self, contents: Contents) -> Result<(), FilesError> {
        let written = contents.clone();
        self.run(move |path| write_owner_file(path, &written)).await?;
        self.remember(contents);
        Ok(())
    }

    /// Whether the folder holds anything except empty folders.
    pub async fn has_files(&self) -> Result<bool, FilesError> {
        self.run(|path| has_files(entries(path)?)).await
    }

    /// Writes that the folder belongs to no conversation, and removes its content.
    pub async fn empty(&self) -> Result<(), FilesError> {
        self.remember(Contents::default());
        self.run(|path| {
            write_owner_file(path, &Contents::default())?;
            entries(path)?.iter().try_for_each(|entry| tree::remove(path, entry))
        })
        .await
    }

    /// Makes the user `uid` the owner of the folder, but of nothing in it.
    pub async fn give_itself_to(&self, uid: u32) -> Result<(), FilesError> {
        self.run(move |path| chown(path, Some(uid), Some(uid))).await
    }

    /// Takes the folder back from the user that it was given to. Until the next `give_to`, no process of this user can
    /// reach an entry of the folder by its path.
    pub async fn take_back(&self) -> Result<(), FilesError> {
        self.run(|path| {
            // In this order, because an owner can change the mode.
            chown(path, Some(geteuid().as_raw()), Some(getegid().as_raw()))?;
            fs::set_permissions(path, Permissions::from_mode(CLOSED_MODE))
        })
        .await
    }

    /// Makes the user `uid` the owner of everything in the folder, and of the folder itself. The folder comes last: a
    /// process of this user cannot change its entries before, if the folder was taken back.
    pub async fn give_to(&self, uid: u32) -> Result<(), FilesError> {
        self.run(move |path| {
            let mut left = vec![path.to_owned()];
            while let Some(folder) = left.pop() {
                for entry in fs::read_dir(folder)? {
                    let entry = entry?;
                    lchown(entry.path(), Some(uid), Some(uid))?;
                    if entry.file_type()?.is_dir() {
                        left.push(entry.path());
                    }
                }
            }
            chown(path, Some(uid), Some(uid))
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, FilesError> {
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || {
            take_access(&path);
            work(&path)
        })
        .await;
        done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(FilesError::Folder)
    }
}

/// Gives the owner all access to the folder, because the program may have denied it.
fn take_access(path: &Path) {
    let mode = fs::metadata(path).map(|meta| meta.permissions().mode());
    if let Ok(mode) = mode
        && mode & CLOSED_MODE != CLOSED_MODE
    {
        // If this fails, the next access states why.
        let _ = fs::set_permissions(path, Permissions::from_mode(mode | CLOSED_MODE));
    }
}

fn has_files(mut left: Vec<PathBuf>) -> io::Result<bool> {
    while let Some(path) = left.pop() {
        let meta = match fs::symlink_metadata(&path) {
            Err(error) if is_hidden(&error) => return Ok(true),
            meta => meta?,
        };
        if !meta.is_dir() {
            return Ok(true);
        }
        if !is_of_deployment(&path) {
            let entries = match fs::read_dir(&path) {
                Err(error) if is_hidden(&error) => return Ok(true),
                entries => entries?,
            };
            for entry in entries {
                left.push(entry?.path());
            }
        }
    }
    Ok(false)
}

/// Whether the error hides files: folders without access, or nested deeper than a path is long, may hold some.
fn is_hidden(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidFilename | ErrorKind::PermissionDenied)
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

/// The content of the owner file. An unreadable one means no conversation. Nothing is read through a link.
fn read_owner_file(path: &Path) -> Contents {
    let path = path.join(OWNER_FILE);
    let read = || -> io::Result<Contents> {
        if !fs::symlink_metadata(&path)?.is_file() {
            return Ok(Contents::default());
        }
        let mut bytes = Vec::new();
        File::open(&path)?.take(MAX_OWNER_FILE_BYTES).read_to_end(&mut bytes)?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    };
    read().unwrap_or_default()
}

/// Writes the owner file in one step, so that a crash leaves either the old file or the new one. A program may have put
/// links or folders under both names: nothing is written through them.
fn write_owner_file(path: &Path, contents: &Contents) -> io::Result<()> {
    let (new, at) = (path.join(format!("{OWNER_FILE}.new")), path.join(OWNER_FILE));
    for (name, is_in_the_way) in [(&new, true), (&at, fs::symlink_metadata(&at).is_ok_and(|m| m.is_dir()))] {
        if is_in_the_way && fs::symlink_metadata(name).is_ok() {
            tree::remove(path, name)?;
        }
    }
    let content = serde_json::to_vec(contents).map_err(io::Error::other)?;
    File::create_new(&new)?.write_all(&content)?;
    fs::rename(new, at)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

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
        assert!(folder.has_files().await.unwrap() && folder.contents() == contents);
        folder.empty().await.unwrap();
        assert!(!folder.has_files().await.unwrap());
        assert_eq!(folder.contents(), Contents::default());
        assert_eq!(fs::read(outside.path().join("kept")).unwrap(), b"kept");
    }

    #[tokio::test]
    async fn a_folder_that_is_taken_back_is_closed_until_it_is_given_to_its_user() {
        if !geteuid().is_root() {
            return; // Only root can give files to another user.
        }
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = Folder::open(dir.path().join("data")).await.unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a")).unwrap();
        fs::write(path("a/file"), "text").unwrap();
        std::os::unix::fs::symlink(outside.path(), path("a/link")).unwrap();
        fs::set_permissions(path(""), Permissions::from_mode(0o777)).unwrap();
        folder.give_to(65_534).await.unwrap();
        for name in ["", "a", "a/file", "a/link"] {
            let meta = fs::symlink_metadata(path(name)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (65_534, 65_534), "{name}");
        }
        assert_eq!(fs::metadata(outside.path()).unwrap().uid(), 0, "a link is given, and not its target");
        folder.take_back().await.unwrap();
        let meta = fs::metadata(folder.path()).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o777), (0, 0o700));
    }

    #[tokio::test]
    async fn the_owner_file_is_never_written_or_read_through_a_link() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret");
        fs::write(&secret, r#"{"conversationId": "another"}"#).unwrap();
        let folder = Folder::open(dir.path().join("data")).await.unwrap();
        let (mark, new) = (folder.path().join(OWNER_FILE), folder.path().join(format!("{OWNER_FILE}.new")));
        fs::remove_file(&mark).unwrap();
        for name in [&mark, &new] {
            std::os::unix::fs::symlink(&secret, name).unwrap();
        }
        let again = Folder::open(folder.path().to_owned()).await.unwrap();
        assert_eq!(again.contents(), Contents::default());
        folder.empty().await.unwrap();
        assert_eq!(fs::read_to_string(&secret).unwrap(), r#"{"conversationId": "another"}"#);
        for name in [&mark, &new] {
            let _ = fs::remove_file(name);
            fs::create_dir_all(name.join("folder")).unwrap();
        }
        let contents = Contents { conversation_id: Some("c".into()), restored: false };
        folder.write_contents(contents.clone()).await.unwrap();
        assert_eq!(Folder::open(folder.path().to_owned()).await.unwrap().contents(), contents);
    }

    #[tokio::test]
    async fn a_program_that_changes_the_owner_file_does_not_change_whose_files_the_folder_holds() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("data")).await.unwrap();
        let contents = Contents { conversation_id: Some("mine".into()), restored: true };
        folder.write_contents(contents.clone()).await.unwrap();
        fs::write(folder.path().join(OWNER_FILE), r#"{"conversationId": "another", "restored": true}"#)
            .unwrap();
        assert_eq!(folder.contents(), contents);
    }
}
