//! The archive: a gzipped tar of the folder. The same files always give the same bytes.
//!
//! It holds folders, files, and links that resolve to targets inside the folder. Everything else (sockets, devices, other
//! links, paths that are too long) is left out with a warning. Unpacking trusts nothing. Every path must stay inside the
//! folder, and every file must be new. Links are created last, so that nothing is written through one, and a link that
//! leads outside is removed. The number of entries, their bytes and the bytes of their names are limited, so an archive
//! needs little memory, and never fills the volume, however large it claims to be.
//!
//! The agent's program may have denied itself access to its files. The worker takes this access again, and an archive
//! gives it to the owner of each file and folder.

mod pack;
mod unpack;

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use rustix::fs::StatVfs;

pub use pack::pack;
pub use unpack::unpack;

/// Most entries of an archive: an agent's folder has thousands, a source tree hundreds of thousands.
const MAX_ENTRIES: u64 = 1_000_000;
/// Most unpacked bytes of an archive. It is larger than any volume. Gzip can unpack to a thousand times the archive.
const MAX_UNPACKED_BYTES: u64 = 64 << 30;
/// Bytes of a block. File systems count in blocks, and an entry counts as one block at least.
const BLOCK_BYTES: u64 = 4_096;
/// Longest path of an entry and longest target of a link, in bytes. Linux accepts paths of 4 096 bytes, and the path of
/// the data folder needs a part of them.
const MAX_NAME_BYTES: usize = 3_072;
/// Most bytes of the names of folders and links.
const MAX_KEPT_NAME_BYTES: usize = 32 << 20;
/// The permission bits that an archive keeps, without set-user-id.
const KEPT_MODE_BITS: u32 = 0o777;
/// The permission bits that every folder gets, because the worker must be able to read and to remove its content.
const FOLDER_MODE_BITS: u32 = 0o700;
/// The permission bits that every file gets, because the worker must be able to read it.
const FILE_MODE_BITS: u32 = 0o400;
/// Most links on the way to a link's target. Linux follows as many.
const MAX_LINKS: usize = 40;

/// Why a folder cannot be packed, or an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading or writing failed.
    #[error("{0} cannot be read or written")]
    Io(PathBuf, #[source] io::Error),
    /// A path or link points outside the folder.
    #[error("{0} points outside the folder")]
    Outside(PathBuf),
    /// An entry is neither a file nor a folder nor a link.
    #[error("{0} is neither a file nor a folder nor a link")]
    Kind(PathBuf),
    /// A name is too long, or is no name at all.
    #[error("the name of an entry is longer than {MAX_NAME_BYTES} bytes or not valid")]
    Name,
    /// The archive is not a gzipped tar, or ends early.
    #[error("the archive is damaged")]
    Damaged(#[source] io::Error),
    /// The limits are exceeded.
    #[error(
        "there are more than {max_entries} entries, or more than {max_bytes} bytes in whole blocks, or too many long names \
         of folders and links"
    )]
    TooLarge {
        /// The limit of the number of entries: that of any archive, or the free inodes of the volume.
        max_entries: u64,
        /// The limit of the content: that of any archive, or the free bytes of the volume.
        max_bytes: u64,
    },
}

impl ArchiveError {
    /// Whether the archive is the cause, so that no worker with this volume can unpack it. Otherwise the disk is.
    pub fn is_of_archive(&self) -> bool {
        match self {
            Self::Io(_, error) => {
                // An error without a number does not come from the system: it comes from a decoder.
                error.raw_os_error().is_none()
                    || matches!(
                        error.kind(),
                        ErrorKind::AlreadyExists
                            | ErrorKind::InvalidFilename
                            | ErrorKind::NotADirectory
                            | ErrorKind::IsADirectory
                    )
            }
            _ => true,
        }
    }
}

/// The largest content of an archive.
#[derive(Clone, Copy, Debug)]
struct Limits {
    max_entries: u64,
    max_bytes: u64,
}

impl Limits {
    /// The limits of any archive.
    const ANY: Self = Self { max_entries: MAX_ENTRIES, max_bytes: MAX_UNPACKED_BYTES };

    /// The limits of an archive that is unpacked on this volume.
    fn of_volume(volume: &StatVfs) -> Self {
        // A file system without a fixed number of inodes, such as btrfs, states 0 of them.
        let free_inodes = if volume.f_files == 0 { u64::MAX } else { volume.f_favail };
        let free_bytes = volume.f_bavail.saturating_mul(volume.f_frsize);
        Self { max_entries: free_inodes.min(MAX_ENTRIES), max_bytes: free_bytes.min(MAX_UNPACKED_BYTES) }
    }

    fn too_large(self) -> ArchiveError {
        ArchiveError::TooLarge { max_entries: self.max_entries, max_bytes: self.max_bytes }
    }
}

/// The entries of an archive, and their bytes in whole blocks.
struct Count {
    limits: Limits,
    entries: u64,
    bytes: u64,
    kept_name_bytes: usize,
}

impl Count {
    fn new(limits: Limits) -> Self {
        Self { limits, entries: 0, bytes: 0, kept_name_bytes: 0 }
    }

    /// Counts the name of a folder, or the name and the target of a link. Unpacking keeps them in memory until its end, and
    /// packing makes no archive that could not be unpacked.
    fn keep_name(&mut self, bytes: usize) -> Result<(), ArchiveError> {
        // A name in memory also needs its vector's entry.
        self.kept_name_bytes += bytes + size_of::<(PathBuf, PathBuf)>();
        if self.kept_name_bytes > MAX_KEPT_NAME_BYTES { Err(self.limits.too_large()) } else { Ok(()) }
    }

    /// Counts an entry with `bytes` of content before it is written: a sparse file can be longer than all disks.
    fn add(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.entries += 1;
        let blocks = bytes.div_ceil(BLOCK_BYTES).max(1);
        self.bytes = self.bytes.saturating_add(blocks.saturating_mul(BLOCK_BYTES));
        let is_too_large = self.entries > self.limits.max_entries || self.bytes > self.limits.max_bytes;
        if is_too_large { Err(self.limits.too_large()) } else { Ok(()) }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + '_ {
    move |error| ArchiveError::Io(path.to_owned(), error)
}

/// Whether the link `name` points to a target inside the folder, judged by the names alone.
fn stays_inside(name: &Path, target: &Path) -> bool {
    let mut depth = name.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

/// Whether the link `name` in `folder` resolves to a place inside it, through all the links on the way. The folders
/// that `name` is in are no links. A missing target is inside, if its path stays inside up to there.
fn resolves_inside(folder: &Path, name: &Path) -> bool {
    let names = |path: &Path| path.components().map(|c| c.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut place = names(name);
    let mut left: Vec<OsString> = place.pop().into_iter().collect();
    let mut links = 0;
    while let Some(part) = left.pop() {
        match Path::new(&part).components().next() {
            Some(Component::CurDir) | None => {}
            Some(Component::ParentDir) => {
                if place.pop().is_none() {
                    return false;
                }
            }
            Some(Component::RootDir | Component::Prefix(_)) => return false,
            Some(Component::Normal(_)) => {
                place.push(part);
                let Ok(target) = fs::read_link(folder.join(place.iter().collect::<PathBuf>())) else {
                    continue;
                };
                links += 1;
                if links > MAX_LINKS {
                    return false;
                }
                place.pop();
                left.extend(names(&target).into_iter().rev());
            }
        }
    }
    true
}

#[cfg(test)]
mod tests;
