//! Writing skills to the disk.
//!
//! A skill's folder is first written completely in a staging folder on the same file system. One rename then puts it in
//! its place, and moves the folder that it replaces into the staging folder, which is removed at the end. Nothing is
//! written or removed through a symbolic link.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use af_domain::ids::SkillSlug;
use af_domain::skill::{MARKER, bundle::SkillFile};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::manifest::{Folder, is_ours};
use crate::config::SkillsConfig;
use crate::tree;

/// The staging folder. The name is not a valid slug, so no skill can have it.
pub const STAGING: &str = ".af-skills-staging";
/// The prefix of a folder that was moved into the staging folder before its replacement is in place.
const REPLACED: &str = "replaced-";
/// Largest marker file that is read: real ones have a few hundred bytes.
const MAX_MARKER_BYTES: u64 = 16 * 1024;
/// The permission bits that a folder or a file gets when access to it is denied.
const FOLDER_MODE_BITS: u32 = 0o700;
const FILE_MODE_BITS: u32 = 0o400;
/// The file that every skill has.
const SKILL_FILE: &str = "SKILL.md";

/// The result of an installation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Skills that were new or changed.
    pub written: usize,
    /// Skills that were already up to date.
    pub unchanged: usize,
    /// Skills that were removed.
    pub removed: usize,
    /// Skills whose folder does not belong to this deployment, and was left alone.
    pub foreign: Vec<String>,
}

/// The owner of a path in the skills folder.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// There is nothing at the path.
    Free,
    /// A folder with this deployment's marker.
    Deployment,
    /// Anything else.
    Foreign,
}

/// Makes `config.dir` hold the skills in `folders`.
///
/// # Errors
/// When the disk cannot be written. Every folder is then either the old one or the new one.
pub fn install(config: &SkillsConfig, folders: &[Folder]) -> io::Result<Report> {
    let dir = config.dir.as_path();
    recover(config)?;
    fs::create_dir_all(dir)?;
    let staging = dir.join(STAGING);
    fs::create_dir(&staging)?;
    let mut report = Report::default();
    for folder in folders {
        let at = dir.join(folder.name.as_str());
        let owner = owner(&at, &folder.name)?;
        if owner == Owner::Foreign {
            report.foreign.push(folder.name.to_string());
        } else if owner == Owner::Deployment && is_as_wanted(&at, &folder.files) {
            report.unchanged += 1;
        } else {
            let new = staging.join(folder.name.as_str());
            write_folder(&new, &folder.files)?;
            replace(&new, &at, &owner, &staging.join(format!("{REPLACED}{}", folder.name)))?;
            report.written += 1;
        }
    }
    for name in leftovers(config, folders)? {
        fs::rename(dir.join(&name), staging.join(format!("removed-{name}")))?;
        report.removed += 1;
    }
    sync(dir)?;
    tree::remove(dir, &staging)?;
    Ok(report)
}

/// Removes the staging folder of a process that died. A folder that it moved aside and did not yet replace goes back to
/// its place.
///
/// # Errors
/// When the disk cannot be read or written.
pub fn recover(config: &SkillsConfig) -> io::Result<()> {
    remove_links_to(config)?;
    let dir = config.dir.as_path();
    let staging = dir.join(STAGING);
    match kind(&staging)? {
        None => return Ok(()),
        Some(kind) if !kind.is_dir() => return fs::remove_file(&staging),
        Some(_) => {}
    }
    for entry in fs::read_dir(&staging)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix(REPLACED)) else { continue };
        let at = dir.join(name);
        if kind(&at)?.is_none() {
            fs::rename(entry.path(), at)?;
        }
    }
    tree::remove(dir, &staging)
}

/// Removes links and files on the way from the data folder to the skills. The agent's program, or a snapshot, may have
/// put them there, and the skills would be written to their targets. Folders outside the data folder belong to the
/// operator and stay.
fn remove_links_to(config: &SkillsConfig) -> io::Result<()> {
    let Some(data_dir) = &config.data_dir else { return Ok(()) };
    let Ok(within) = config.dir.strip_prefix(data_dir) else { return Ok(()) };
    let mut at = data_dir.clone();
    for part in within.components() {
        at.push(part);
        match kind(&at)? {
            Some(kind) if kind.is_dir() => reach(&at)?,
            Some(_) => {
                tracing::warn!(path = %at.display(), "a link or file in the place of the skills' folder is removed");
                fs::remove_file(&at)?;
            }
            None => {}
        }
    }
    Ok(())
}

/// Takes access to a folder. The agent's program may have denied it to itself, and so to a worker of the same user.
fn reach(folder: &Path) -> io::Result<()> {
    tree::with_access(folder, FOLDER_MODE_BITS, || {
        fs::symlink_metadata(folder.join("."))?;
        fs::read_dir(folder).map(drop)
    })
}

fn write_folder(folder: &Path, files: &[SkillFile]) -> io::Result<()> {
    fs::create_dir(folder)?;
    for file in files {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut written = File::create_new(&path)?;
        written.write_all(file.content.as_bytes())?;
        written.sync_all()?;
    }
    sync(folder)
}

/// Puts the folder `new` at `at`. If the file system cannot exchange two folders, the old one is first moved to `aside`.
/// If the process dies before the next step, [`recover`] moves it back.
fn replace(new: &Path, at: &Path, owner: &Owner, aside: &Path) -> io::Result<()> {
    if *owner == Owner::Free {
        return fs::rename(new, at);
    }
    match renameat_with(CWD, new, CWD, at, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::rename(at, aside)?;
            fs::rename(new, at)
        }
        exchanged => Ok(exchanged?),
    }
}

/// Folders to remove: skills of this deployment that are no longer in the manifest, and with `remove_unmanaged` all other
/// skills that are not in the image.
fn leftovers(config: &SkillsConfig, folders: &[Folder]) -> io::Result<Vec<String>> {
    let wanted: BTreeSet<&str> = folders.iter().map(|folder| folder.name.as_str()).collect();
    let mut leftovers = Vec::new();
    for entry in fs::read_dir(&config.dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| !wanted.contains(name) && *name != STAGING) else {
            continue;
        };
        let at = config.dir.join(name);
        let ours = match SkillSlug::parse(name) {
            Ok(slug) => owner(&at, &slug)? == Owner::Deployment,
            Err(_) => false,
        };
        let in_image = config.bundled_dir.as_ref().is_some_and(|dir| dir.join(name).exists());
        let unmanaged = config.remove_unmanaged && !in_image && is_plain_file(&at, SKILL_FILE)?;
        if ours || unmanaged {
            leftovers.push(name.to_owned());
        }
    }
    Ok(leftovers)
}

fn owner(at: &Path, name: &SkillSlug) -> io::Result<Owner> {
    match kind(at)? {
        None => return Ok(Owner::Free),
        Some(kind) if kind.is_dir() => reach(at)?,
        Some(_) => {}
    }
    if !is_plain_file(at, MARKER)? {
        return Ok(Owner::Foreign);
    }
    let mut marker = String::new();
    let open = || File::open(at.join(MARKER));
    let file = tree::with_access(&at.join(MARKER), FILE_MODE_BITS, open)?;
    let read = file.take(MAX_MARKER_BYTES).read_to_string(&mut marker);
    let ours = read.is_ok() && is_ours(&marker, name);
    Ok(if ours { Owner::Deployment } else { Owner::Foreign })
}

/// Whether every file has its expected content. Other files, which a skill may create, are ignored. A file that cannot be
/// read has not: its folder is replaced.
fn is_as_wanted(folder: &Path, files: &[SkillFile]) -> bool {
    files.iter().all(|file| {
        let path = folder.join(&file.path);
        is_plain_file(folder, &file.path).is_ok_and(|is_file| is_file)
            && fs::metadata(&path).is_ok_and(|metadata| metadata.len() == file.content.len() as u64)
            && fs::read(&path).is_ok_and(|content| content == file.content.as_bytes())
    })
}

/// Whether `path` in `folder` is a file, and neither it, nor a folder on the way, nor `folder` a symbolic link.
fn is_plain_file(folder: &Path, path: &str) -> io::Result<bool> {
    let mut at = folder.to_path_buf();
    for segment in path.split('/') {
        if !kind(&at)?.is_some_and(|kind| kind.is_dir()) {
            return Ok(false);
        }
        at.push(segment);
    }
    Ok(kind(&at)?.is_some_and(|kind| kind.is_file()))
}

/// The type of `path` itself; `None` when it does not exist.
fn kind(path: &Path) -> io::Result<Option<fs::FileType>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
