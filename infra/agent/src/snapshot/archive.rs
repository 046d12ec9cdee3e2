//! The archive: a gzipped tar of the folder, the same bytes each time as long as the files are the same.
//!
//! It holds folders, files, and links that stay inside. What else there is (sockets, devices, links that lead out) is
//! left out with a warning. Restoring believes nothing: every path must stay inside, every file must be new, links
//! come last so that nothing is written through one, and there are limits to what comes out.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use super::folder::{is_reserved, is_the_deployments};

/// Most entries of an archive: an agent's folder has thousands, a source tree hundreds of thousands.
const ENTRIES_MAX: usize = 1_000_000;
/// Most bytes that come out of an archive. Gzip makes at most a thousand times more out of less; volumes are smaller.
const UNPACKED_BYTES_MAX: u64 = 64 << 30;
/// Permissions that are kept: never set-user-id.
const MODE_KEPT: u32 = 0o777;

/// Why a folder cannot be packed, or an archive not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading or writing failed.
    #[error("{0} cannot be read or written")]
    Io(PathBuf, #[source] io::Error),
    /// A path or a link that leads out of the folder.
    #[error("{0} leads out of the folder")]
    Outside(PathBuf),
    /// Something that is neither file, folder nor link.
    #[error("{0} is neither a file nor a folder nor a link")]
    Kind(PathBuf),
    /// More than we take.
    #[error("there are more than {ENTRIES_MAX} entries or {UNPACKED_BYTES_MAX} bytes")]
    TooLarge,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + '_ {
    move |error| ArchiveError::Io(path.to_owned(), error)
}

/// Packs what is in `folder`.
pub fn pack<W: Write>(folder: &Path, into: W) -> Result<W, ArchiveError> {
    let mut packer = Packer {
        folder,
        tar: tar::Builder::new(GzEncoder::new(into, Compression::fast())),
        entries: 0,
        bytes: 0,
    };
    packer.pack(Path::new(""))?;
    let gzip = packer.tar.into_inner().map_err(at(folder))?;
    gzip.finish().map_err(at(folder))
}

struct Packer<'a, W: Write> {
    folder: &'a Path,
    tar: tar::Builder<GzEncoder<W>>,
    entries: usize,
    bytes: u64,
}

impl<W: Write> Packer<'_, W> {
    fn pack(&mut self, within: &Path) -> Result<(), ArchiveError> {
        let path = self.folder.join(within);
        let names = fs::read_dir(&path).and_then(|entries| {
            entries.map(|entry| entry.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = names.map_err(at(&path))?;
        names.retain(|name| !(within.as_os_str().is_empty() && is_reserved(name)));
        names.sort(); // The order of a folder's entries is nobody's promise.
        names.iter().try_for_each(|name| self.pack_one(&within.join(name)))
    }

    fn pack_one(&mut self, name: &Path) -> Result<(), ArchiveError> {
        let path = self.folder.join(name);
        let meta = fs::symlink_metadata(&path).map_err(at(&path))?;
        if meta.is_dir() && is_the_deployments(&path) {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_mode(meta.permissions().mode() & MODE_KEPT);
        let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        header.set_mtime(modified.unwrap_or_default().as_secs());
        header.set_size(0);
        self.entries += 1;
        if meta.is_file() {
            self.bytes += meta.len();
            header.set_entry_type(EntryType::Regular);
            header.set_size(meta.len());
            let file = File::open(&path).map_err(at(&path))?;
            let whole = Whole { file, left: meta.len() };
            self.tar.append_data(&mut header, name, whole).map_err(at(&path))?;
        } else if meta.is_dir() {
            header.set_entry_type(EntryType::Directory);
            self.tar.append_data(&mut header, name, io::empty()).map_err(at(&path))?;
        } else {
            let target = meta.is_symlink().then(|| fs::read_link(&path)).transpose().map_err(at(&path))?;
            match target.filter(|target| stays_inside(name, target)) {
                Some(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    self.tar.append_link(&mut header, name, target).map_err(at(&path))?;
                }
                None => tracing::warn!(path = %name.display(), "not kept: no file, or a link that leads out"),
            }
        }
        if self.entries > ENTRIES_MAX || self.bytes > UNPACKED_BYTES_MAX {
            return Err(ArchiveError::TooLarge);
        }
        if meta.is_dir() { self.pack(name) } else { Ok(()) }
    }
}

/// A file as long as its header says: one that has become shorter is an error, not a broken archive.
struct Whole {
    file: File,
    left: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter meanwhile"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Unpacks an archive into `folder`, which is empty. `from` is read to its end.
pub fn unpack(from: &mut impl Read, folder: &Path) -> Result<(), ArchiveError> {
    let mut archive = tar::Archive::new(GzDecoder::new(&mut *from));
    let (mut count, mut bytes) = (0, 0_u64);
    let mut links = Vec::new();
    let mut folders = Vec::new();
    for entry in archive.entries().map_err(at(folder))? {
        let mut entry = entry.map_err(at(folder))?;
        let name = inside(&entry.path().map_err(at(folder))?)?;
        let path = folder.join(&name);
        count += 1;
        bytes = bytes.saturating_add(entry.size());
        if count > ENTRIES_MAX || bytes > UNPACKED_BYTES_MAX {
            return Err(ArchiveError::TooLarge);
        }
        let mode = entry.header().mode().map_err(at(&path))? & MODE_KEPT;
        match entry.header().entry_type() {
            EntryType::Directory => {
                fs::create_dir_all(&path).map_err(at(&path))?;
                folders.push((path, mode));
            }
            EntryType::Regular => {
                let modified = entry.header().mtime().map_err(at(&path))?;
                write_new(&mut entry, &path, mode, modified).map_err(at(&path))?;
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(at(&path))?.unwrap_or_default().into_owned();
                if !stays_inside(&name, &target) {
                    return Err(ArchiveError::Outside(name));
                }
                links.push((path, target));
            }
            _ => return Err(ArchiveError::Kind(name)),
        }
    }
    for (path, target) in links {
        symlink(target, &path).map_err(at(&path))?;
    }
    // Innermost first, and after what is in them: a folder may deny writing.
    for (path, mode) in folders.into_iter().rev() {
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(at(&path))?;
    }
    drop(archive);
    io::copy(from, &mut io::sink()).map(drop).map_err(at(folder))
}

fn write_new(content: &mut impl Read, path: &Path, mode: u32, modified: u64) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode | 0o200).open(path)?;
    io::copy(content, &mut file)?;
    file.set_modified(UNIX_EPOCH + Duration::from_secs(modified))?;
    file.set_permissions(Permissions::from_mode(mode))
}

/// The path, when it names something inside and is not reserved.
fn inside(path: &Path) -> Result<PathBuf, ArchiveError> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir).peekable();
    let is_ours = parts.peek().is_some_and(|first| !is_reserved(first.as_os_str()));
    let clean: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    if is_ours && is_plain { Ok(clean) } else { Err(ArchiveError::Outside(path.to_owned())) }
}

/// Whether the link `name` to `target` leads to a place inside, as far as names tell.
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

#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod tests;
