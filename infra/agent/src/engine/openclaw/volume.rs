//! Files that the worker writes into folders where the program of the agent can write, too.
//!
//! A worker of root writes with the rights of root. So no folder is opened through a link: the agent could have put a link
//! to a folder of the system in its place.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The ending of a file that is being written.
const UNFINISHED: &str = ".af-new";

/// Creates the folders below `root`, each in the one before, for the user `uid`.
///
/// # Errors
/// When one cannot be created, or is not a folder.
pub fn create_folder(root: &Path, folders: &[&str], uid: Option<u32>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
    for name in folders {
        let created = rustix::fs::mkdirat(&folder, *name, Mode::RWXU);
        if created != Err(Errno::EXIST) {
            created?;
        }
        folder = rustix::fs::openat(&folder, *name, FOLDER, Mode::empty())?;
        if created.is_ok() {
            give_to(&folder, uid)?;
        }
    }
    Ok(folder)
}

/// Replaces the file `name` in one step. Only the user `uid` can read it.
///
/// # Errors
/// As `create_folder`, and when the file cannot be written.
pub fn replace(
    root: &Path,
    folders: &[&str],
    name: &str,
    content: &[u8],
    uid: Option<u32>,
) -> io::Result<()> {
    let folder = create_folder(root, folders, uid)?;
    let unfinished = format!("{name}{UNFINISHED}");
    match rustix::fs::unlinkat(&folder, &*unfinished, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, &*unfinished, flags, Mode::RUSR | Mode::WUSR)?;
    give_to(&file, uid)?;
    File::from(file).write_all(content)?;
    Ok(rustix::fs::renameat(&folder, &*unfinished, &folder, name)?)
}

/// The content of the file `name`, at most `max_bytes` of it; `None` if there is no such file.
///
/// # Errors
/// When it cannot be read, or is a link.
pub fn read(root: &Path, folders: &[&str], name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let folder = create_folder(root, folders, None)?;
    // A pipe would block without `NONBLOCK`.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
        Ok(file) => {
            let mut content = Vec::new();
            File::from(file).take(max_bytes).read_to_end(&mut content)?;
            Ok(Some(content))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn give_to(file: &OwnedFd, uid: Option<u32>) -> io::Result<()> {
    let Some(uid) = uid else { return Ok(()) };
    Ok(rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        for content in ["one", "two"] {
            replace(dir.path(), &["a", "b"], "f", content.as_bytes(), None).unwrap();
            assert_eq!(read(dir.path(), &["a", "b"], "f", 99).unwrap().unwrap(), content.as_bytes());
        }
        let mode = |path: &str| dir.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a"), mode("a/b/f")), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(dir.path().join("a/b")).unwrap().count(), 1);
        assert_eq!(read(dir.path(), &["a"], "none", 99).unwrap(), None);
    }

    #[test]
    fn nothing_is_read_or_written_through_a_link() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("f"), "kept").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        assert!(replace(dir.path(), &["link"], "f", b"changed", None).is_err());
        assert!(read(dir.path(), &["link"], "f", 99).is_err());
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("f"), dir.path().join("a/f")).unwrap();
        assert!(read(dir.path(), &["a"], "f", 99).is_err());
        replace(dir.path(), &["a"], "f", b"changed", None).unwrap();
        assert_eq!(std::fs::read(outside.path().join("f")).unwrap(), b"kept");
        assert_eq!(read(dir.path(), &["a"], "f", 99).unwrap().unwrap(), b"changed");
    }
}
