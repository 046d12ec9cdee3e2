//! The archive: a gzipped tar of the folder. The same files always give the same bytes.
//!
//! It holds folders, files, and links that resolve to targets inside the folder. Everything else (sockets, devices, other
//! links, paths that are too long) is left out with a warning. Unpacking trusts nothing. Every path must stay inside the
//! folder, and every file must be new. Links are created last, so that nothing is written through one, and a link that
//! leads outside is removed. The number of entries, their bytes and the bytes of their names are limited, so an archive
//! needs little memory, however large it claims to be.

mod pack;
mod unpack;

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

pub use pack::pack;
pub use unpack::unpack;

/// Most entries of an archive: an agent's folder has thousands, a source tree hundreds of thousands.
const MAX_ENTRIES: usize = 1_000_000;
/// Most unpacked bytes of an archive. It is larger than any volume. Gzip can unpack to a thousand times the archive.
const MAX_UNPACKED_BYTES: u64 = 64 << 30;
/// Longest path of an entry and longest target of a link, in bytes. Linux accepts paths of 4 096 bytes, and the path of
/// the data folder needs a part of them.
const MAX_NAME_BYTES: usize = 3_072;
/// The permission bits that an archive keeps, without set-user-id.
const KEPT_MODE_BITS: u32 = 0o777;
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
    #[error("there are more than {MAX_ENTRIES} entries, or more than {max_bytes} bytes")]
    TooLarge {
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
