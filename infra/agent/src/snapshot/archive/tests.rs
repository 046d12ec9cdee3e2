use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use super::*;
use crate::snapshot::names::OWNER_FILE;

mod access;
mod fuzz;
mod hostile;
mod sqlite;

pub(super) fn packed(folder: &Path) -> Vec<u8> {
    pack(folder, Vec::new()).unwrap()
}

pub(super) fn unpacked(archive: &[u8]) -> Result<tempfile::TempDir, ArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    unpack(&mut &*archive, folder.path()).map(|()| folder)
}

/// An archive with one entry, whose path is written without any check.
fn with_entry(name: &str, kind: EntryType, target: &str) -> Vec<u8> {
    let body: &[u8] = if kind == EntryType::Regular { b"evil" } else { b"" };
    gzipped(|tar| tar.append(&header(name, kind, target, body.len() as u64), body).unwrap())
}

fn gzipped(write: impl FnOnce(&mut tar::Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    write(&mut tar);
    tar.into_inner().unwrap().finish().unwrap()
}

/// A header whose names are written without any check.
fn header(name: &str, kind: EntryType, target: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_mtime(1);
    header.set_cksum();
    header
}

#[test]
fn files_folders_and_inner_links_are_restored_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let long = format!("deep/{}/{}", "x".repeat(120), "y".repeat(120));
    fs::create_dir_all(path(&long)).unwrap();
    fs::create_dir_all(path("empty")).unwrap();
    fs::write(path(&format!("{long}/notes.sqlite")), "db").unwrap();
    fs::write(path(&format!("{long}/notes.sqlite-wal")), vec![7; 300_000]).unwrap();
    fs::write(path("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(path("run.sh"), Permissions::from_mode(0o750)).unwrap();
    symlink("../run.sh", path("deep/link")).unwrap();
    symlink("/etc/passwd", path("out")).unwrap();
    fs::write(path(OWNER_FILE), "{}").unwrap();
    fs::create_dir_all(path("skills/notes")).unwrap();
    fs::write(path("skills/notes/.af-global-skill.json"), "{}").unwrap();
    fs::create_dir_all(path("skills/own")).unwrap();

    let archive = packed(folder.path());
    assert_eq!(archive, packed(folder.path()), "the same files give the same bytes");
    let back = unpacked(&archive).unwrap();
    let back = |name: &str| back.path().join(name);
    assert_eq!(fs::read(back(&format!("{long}/notes.sqlite"))).unwrap(), b"db");
    assert_eq!(fs::read(back(&format!("{long}/notes.sqlite-wal"))).unwrap(), vec![7; 300_000]);
    assert_eq!(fs::metadata(back("run.sh")).unwrap().mode() & 0o7777, 0o750);
    assert_eq!(fs::metadata(back("run.sh")).unwrap().mtime(), fs::metadata(path("run.sh")).unwrap().mtime());
    assert!(back("empty").is_dir() && back("skills/own").is_dir());
    assert!(!back("skills/notes").exists(), "a global skill belongs to the deployment");
    assert_eq!(fs::read_link(back("deep/link")).unwrap(), Path::new("../run.sh"));
    assert!(!back(OWNER_FILE).exists() && fs::symlink_metadata(back("out")).is_err());
}

#[test]
fn a_path_or_link_that_points_outside_the_folder_is_refused() {
    for name in ["../evil", "/evil", "a/../../evil", "..", OWNER_FILE] {
        let refused = unpacked(&with_entry(name, EntryType::Regular, "")).err().unwrap();
        assert!(matches!(refused, ArchiveError::Outside(_)), "{name}: {refused}");
    }
    for target in ["/etc", "../etc", "a/../../etc"] {
        let refused = unpacked(&with_entry("link", EntryType::Symlink, target)).err().unwrap();
        assert!(matches!(refused, ArchiveError::Outside(_)), "{target}: {refused}");
    }
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::Link] {
        let refused = unpacked(&with_entry("thing", kind, "run.sh")).err().unwrap();
        assert!(matches!(refused, ArchiveError::Kind(_)), "{kind:?}: {refused}");
    }
}

#[test]
fn a_truncated_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), vec![1; 100_000]).unwrap();
    let archive = packed(folder.path());
    assert!(unpacked(&archive[..archive.len() / 2]).is_err());
}
