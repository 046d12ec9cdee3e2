//! Removal of folders whose content is not trusted.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
        // The program may have denied itself access.
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
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
                fs::set_permissions(entry.path(), Permissions::from_mode(0o700))?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode, mkdirat};

    use super::*;

    #[test]
    fn folders_that_are_nested_deeper_than_a_path_is_long_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("kept"), "kept").unwrap();
        let name = "n".repeat(250);
        let top = dir.path().join("top");
        fs::create_dir(&top).unwrap();
        let mut at = rustix::fs::openat(CWD, &top, rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..300 {
            mkdirat(&at, &*name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, &*name, rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        symlink(dir.path(), top.join("link")).unwrap();
        fs::set_permissions(top.join(&name), Permissions::from_mode(0o000)).unwrap();
        remove(dir.path(), &top).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
    }
}
