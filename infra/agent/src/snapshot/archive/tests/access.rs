//! Files and folders to which the agent's program has denied access, for a worker without the rights of root.

use std::io;
use std::os::unix::fs::lchown;

use super::*;
use crate::snapshot::folder::Folder;
use crate::unprivileged::{deny, without_rights};

#[test]
fn files_and_folders_without_access_are_packed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["unlisted", "unsearched", "closed/inner"] {
        fs::create_dir_all(path(name)).unwrap();
        fs::write(path(name).join("file"), name).unwrap();
    }
    fs::write(path("secret"), "secret").unwrap();
    fs::create_dir_all(path("skills/notes")).unwrap();
    fs::write(path("skills/notes/.af-global-skill.json"), "{}").unwrap();
    let modes = [("unlisted", 0o300), ("unsearched", 0o600), ("secret", 0), ("closed/inner/file", 0)];
    for (name, mode) in
        modes.into_iter().chain([("closed/inner", 0), ("closed", 0), ("skills/notes", 0), ("", 0)])
    {
        deny(&path(name), mode);
    }
    let (first, second) =
        without_rights(|| (pack(folder.path(), Vec::new()), pack(folder.path(), Vec::new())));
    let first = first.unwrap();
    assert_eq!(first, second.unwrap(), "access that the worker takes does not change the archive");
    let back = unpacked(&first).unwrap();
    for name in ["unlisted", "unsearched", "closed/inner"] {
        assert_eq!(fs::read_to_string(back.path().join(name).join("file")).unwrap(), name);
    }
    assert_eq!(fs::read_to_string(back.path().join("secret")).unwrap(), "secret");
    assert_eq!(fs::metadata(back.path().join("secret")).unwrap().mode() & 0o777, 0o400);
    assert!(!back.path().join("skills/notes").exists(), "a global skill belongs to the deployment");
}

#[test]
fn files_and_folders_of_another_user_without_access_are_left_out() {
    if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
        return; // Only root can make files of another user.
    }
    let folder = tempfile::tempdir().unwrap();
    deny(folder.path(), 0o700);
    fs::write(folder.path().join("file"), "of root").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("kept"), "kept").unwrap();
    for name in ["file", "folder"] {
        fs::set_permissions(folder.path().join(name), Permissions::from_mode(0o000)).unwrap();
    }
    let back = unpacked(&without_rights(|| pack(folder.path(), Vec::new())).unwrap()).unwrap();
    let names: Vec<_> = fs::read_dir(back.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["kept"]);
    lchown(folder.path(), Some(0), Some(0)).unwrap();
    let refused = without_rights(|| pack(folder.path(), io::sink())).err();
    assert!(refused.is_some(), "a data folder that cannot be read has no empty snapshot");
}

#[test]
fn a_data_folder_without_access_can_be_used_and_emptied() {
    let dir = tempfile::tempdir().unwrap();
    deny(dir.path(), 0o700);
    without_rights(|| {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            for mode in [0, 0o500] {
                let folder = Folder::open(dir.path().join("data")).await.unwrap();
                let (root, closed) = (folder.path(), folder.path().join("closed"));
                fs::create_dir(&closed).unwrap();
                fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
                fs::set_permissions(root, Permissions::from_mode(mode)).unwrap();
                let again = Folder::open(root.to_owned()).await.unwrap();
                assert!(again.has_files().await.unwrap(), "a closed folder may hold files");
                fs::set_permissions(root, Permissions::from_mode(mode)).unwrap();
                again.empty().await.unwrap();
                assert!(!again.has_files().await.unwrap());
            }
        });
    });
}

#[test]
fn a_file_without_access_is_restored_with_read_access() {
    let archive = gzipped(|tar| {
        let mut header = header("closed", EntryType::Regular, "", 0);
        header.set_mode(0);
        header.set_cksum();
        tar.append(&header, io::empty()).unwrap();
    });
    let back = unpacked(&archive).unwrap();
    assert_eq!(fs::metadata(back.path().join("closed")).unwrap().mode() & 0o777, 0o400);
}
