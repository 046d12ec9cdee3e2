//! The archive: a gzipped tar of the folder. The same files always give the same bytes.
//!
//! It holds folders, files, and links to targets inside the folder. Everything else (sockets, devices, links to outside
//! targets) is left out with a warning. Unpacking trusts nothing: every path must stay inside the folder, every file must
//! be new, links are created last so that nothing is written through one, and the number of entries and bytes is limited.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use super::names::{is_of_deployment, is_reserved};

/// Most entries of an archive: an agent's folder has thousands, a source tree hundreds of thousands.
const MAX_ENTRIES: usize = 1_000_000;
/// Most unpacked bytes of an archive. It is larger than any volume. Gzip can unpack to a thousand times the archive.
const MAX_UNPACKED_BYTES: u64 = 64 << 30;
/// The permission bits that an archive keeps, without set-user-id.
const KEPT_MODE_BITS: u32 = 0o777;

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
    /// The limits are exceeded.
    #[error("there are more than {MAX_ENTRIES} entries or {MAX_UNPACKED_BYTES} bytes")]
    TooLarge,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + '_ {
    move |error| ArchiveError::Io(path.to_owned(), error)
}

/// Packs the content of `folder`.
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
        names.sort(); // The order of a folder's entries is not defined.
        names.iter().try_for_each(|name| self.pack_one(&within.join(name)))
    }

    fn pack_one(&mut self, name: &Path) -> Result<(), ArchiveError> {
        let path = self.folder.join(name);
        let meta = fs::symlink_metadata(&path).map_err(at(&path))?;
        if meta.is_dir() && is_of_deployment(&path) {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_mode(meta.permissions().mode() & KEPT_MODE_BITS);
        let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        header.set_mtime(modified.unwrap_or_default().as_secs());
        header.set_size(0);
        self.entries += 1;
        if meta.is_file() {
            self.bytes += meta.len();
            header.set_entry_type(EntryType::Regular);
            header.set_size(meta.len());
            let mut content = File::open(&path).map_err(at(&path))?.take(meta.len());
            self.tar.append_data(&mut header, name, &mut content).map_err(at(&path))?;
            if content.limit() > 0 {
                // The archive has fewer bytes of the file than its header says.
                let shorter = io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter");
                return Err(at(&path)(shorter));
            }
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
                None => {
                    tracing::warn!(path = %name.display(), "left out of the snapshot: not a file, or a link to an outside target")
                }
            }
        }
        if self.entries > MAX_ENTRIES || self.bytes > MAX_UNPACKED_BYTES {
            return Err(ArchiveError::TooLarge);
        }
        if meta.is_dir() { self.pack(name) } else { Ok(()) }
    }
}

/// Unpacks an archive into `folder`, which must be empty. Reads `from` to its end.
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
        if count > MAX_ENTRIES || bytes > MAX_UNPACKED_BYTES {
            return Err(ArchiveError::TooLarge);
        }
        let mode = entry.header().mode().map_err(at(&path))? & KEPT_MODE_BITS;
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
    // Innermost folders first, and after their content, because a folder may deny writing.
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

/// The path, if it is inside the folder and not reserved.
fn inside(path: &Path) -> Result<PathBuf, ArchiveError> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir).peekable();
    let is_free = parts.peek().is_some_and(|first| !is_reserved(first.as_os_str()));
    let clean: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    if is_free && is_plain { Ok(clean) } else { Err(ArchiveError::Outside(path.to_owned())) }
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

#[cfg(test)]
mod tests;
