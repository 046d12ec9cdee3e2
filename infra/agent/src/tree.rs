//! Access to folders whose content is not trusted, and their removal.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fchmod, open};
use rustix::io::Errno;

/// Runs `read` on the file or folder at `path`. If access is denied, the owner gets the permission bits `access`, and
/// `read` runs again: a program may have denied access to itself, and so to a worker of the same user.
///
/// # Errors
/// Those of `read`. `PermissionDenied` also means that another user owns `path`.
pub fn with_access<T>(path: &Path, access: u32, read: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match read() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let mode = fs::symlink_metadata(path)?.permissions().mode();
            fs::set_permissions(path, Permissions::from_mode(mode | access))?;
            read()
        }
        done => done,
    }
}

/// Removes `path` in `folder`, whatever it is. A link is removed and not its target.
///
/// A program can nest folders deeper than a path can be long, and deeper than a process may have open folders, so
/// [`fs::remove_dir_all`] cannot remove them. Here each inner folder moves up into `folder` before it is emptied.
///
/// # Errors
/// When something cannot be moved or removed.
pub fn remove(folder: &Path, path: &Path) -> io::Result<()> {
    let mut left = vec![path.to_owned()];
    let mut moved = 0_u64;
    while let Some(path) = left.last() {
        if !fs::symlink_metadata(path)?.is_dir() {
            fs::remove_file(path)?;
            left.pop();
            continue;
        }
        take_access(path)?;
        let mut inner = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let to = loop {
                    moved += 1;
                    let to = folder.join(format!(".af-removed-{moved}"));
                    if fs::symlink_metadata(&to).is_err() {
                        break to;
                    }
                };
                // A folder can only be moved while its owner may write to it.
                take_access(&entry.path())?;
                fs::rename(entry.path(), &to)?;
                inner.push(to);
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        fs::remove_dir(path)?;
        left.pop();
        left.extend(inner);
    }
    Ok(())
}

/// Gives the owner all access to a folder, because the program may have denied it. As root, it does so only through a
/// descriptor of the folder: a process may put a link in its place meanwhile.
fn take_access(folder: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open(folder, flags, Mode::empty()) {
        Ok(folder) => Ok(fchmod(folder, Mode::RWXU)?),
        // Root is never denied. Any other worker has the rights of the program, so a link leads it to nothing more.
        Err(Errno::ACCESS) => fs::set_permissions(folder, Permissions::from_mode(0o700)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, mkdirat};

    use super::*;

    #[test]
    fn access_is_not_taken_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::create_dir(&target).unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o755)).unwrap();
        symlink(&target, &link).unwrap();
        assert!(take_access(&link).is_err());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn folders_that_are_nested_deeper_than_a_path_is_long_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("kept"), "kept").unwrap();
        let name = "n".repeat(250);
        let top = dir.path().join("top");
        fs::create_dir(&top).unwrap();
        let mut at = rustix::fs::openat(CWD, &top, OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..300 {
            mkdirat(&at, &*name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, &*name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        symlink(dir.path(), top.join("link")).unwrap();
        fs::set_permissions(top.join(&name), Permissions::from_mode(0o000)).unwrap();
        remove(dir.path(), &top).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
    }
}
