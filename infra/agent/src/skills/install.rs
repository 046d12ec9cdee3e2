//! Writing skills to the disk.
//!
//! A folder is made whole beside the others, in a staging folder on the same file system, and then takes its place in
//! one step; what it replaces goes with the staging folder. Nothing is written or removed through a symbolic link.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use af_domain::ids::SkillSlug;
use af_domain::skill::{MARKER, bundle::SkillFile};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::SkillsConfig;
use super::manifest::{Folder, is_ours};

/// Where folders are made and what they replace ends. Not a slug, so no skill can be called so.
pub const STAGING: &str = ".af-skills-staging";
/// Begins the name under which a folder waits in the staging folder while another takes its place in two steps.
const REPLACED: &str = "replaced-";
/// Largest marker file that is read: ours have a few hundred bytes.
const MARKER_BYTES_MAX: u64 = 16 * 1024;
/// What every skill has.
const SKILL_FILE: &str = "SKILL.md";

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Skills that were new or have changed.
    pub written: usize,
    /// Skills that were there as they should be.
    pub unchanged: usize,
    /// Skills that were removed.
    pub removed: usize,
    /// Skills whose folder is somebody else's, and was left alone.
    pub foreign: Vec<String>,
}

/// What stands at a place among the skills.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Free,
    /// A folder with our marker.
    Ours,
    /// Anything else.
    Foreign,
}

/// Makes the skills in `config.dir` those of `folders`.
///
/// # Errors
/// When the disk does not take them. Every folder is then the old one or the new one.
pub fn install(config: &SkillsConfig, folders: &[Folder]) -> io::Result<Report> {
    let dir = config.dir.as_path();
    fs::create_dir_all(dir)?;
    recover(dir)?;
    let staging = dir.join(STAGING);
    fs::create_dir(&staging)?;
    let mut report = Report::default();
    for folder in folders {
        let at = dir.join(folder.name.as_str());
        let place = place(&at, &folder.name)?;
        if place == Place::Foreign {
            report.foreign.push(folder.name.to_string());
        } else if place == Place::Ours && is_as_wanted(&at, &folder.files)? {
            report.unchanged += 1;
        } else {
            let new = staging.join(folder.name.as_str());
            write_folder(&new, &folder.files)?;
            take_place(&new, &at, &place, &staging.join(format!("{REPLACED}{}", folder.name)))?;
            report.written += 1;
        }
    }
    for name in leftovers(config, folders)? {
        fs::rename(dir.join(&name), staging.join(format!("removed-{name}")))?;
        report.removed += 1;
    }
    sync(dir)?;
    fs::remove_dir_all(&staging)?;
    Ok(report)
}

/// Clears away what a process that died has left. A folder that it had moved aside and not replaced yet goes back.
///
/// # Errors
/// When the disk does not let us.
pub fn recover(dir: &Path) -> io::Result<()> {
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
    fs::remove_dir_all(&staging)
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

/// Puts the folder `new` at `at`. Where the file system cannot exchange two folders, the old one is moved to `aside`
/// first; [`recover`] brings it back when the process dies before the next step.
fn take_place(new: &Path, at: &Path, place: &Place, aside: &Path) -> io::Result<()> {
    if *place == Place::Free {
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

/// Folders to be removed: ours that nobody asks for any more, and with `remove_unmanaged` other skills that the image
/// did not bring.
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
            Ok(slug) => place(&at, &slug)? == Place::Ours,
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

fn place(at: &Path, name: &SkillSlug) -> io::Result<Place> {
    if kind(at)?.is_none() {
        return Ok(Place::Free);
    }
    if !is_plain_file(at, MARKER)? {
        return Ok(Place::Foreign);
    }
    let mut marker = String::new();
    let read = File::open(at.join(MARKER))?.take(MARKER_BYTES_MAX).read_to_string(&mut marker);
    let ours = read.is_ok() && is_ours(&marker, name);
    Ok(if ours { Place::Ours } else { Place::Foreign })
}

/// Whether every file is there as it should be. Files beside them, which a skill may keep, do not matter.
fn is_as_wanted(folder: &Path, files: &[SkillFile]) -> io::Result<bool> {
    for file in files {
        let is_there = is_plain_file(folder, &file.path)?
            && fs::metadata(folder.join(&file.path))?.len() == file.content.len() as u64
            && fs::read(folder.join(&file.path))? == file.content.as_bytes();
        if !is_there {
            return Ok(false);
        }
    }
    Ok(true)
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

/// What stands at `path` itself; `None` when nothing does.
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
