//! Small files that are replaced in one step: a process that is killed leaves the old file or the new one, never a part.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Replaces `path` by `contents`, readable only by its owner. The new file is written beside `path`, flushed to
/// disk, and then renamed. Returns an error, which names the path, if the new file cannot be written, flushed or
/// renamed.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let written = create_private(&fresh).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    });
    written.map_err(|error| named(path, &error))
}

/// The contents of `path`; `None` if there is no such file. An error names the path.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path, &error)),
    }
}

/// The error with the path, which errors of the operating system lack.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // A file that a killed process left behind may have other permissions. `mode` has an effect only on a new file.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_disk_says_which_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let path = file.join("secrets.json");
        for error in [replace(&path, b"x").unwrap_err(), read(dir.path()).unwrap_err()] {
            assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
        }
    }
}
