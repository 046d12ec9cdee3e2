//! Unpacking.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use flate2::read::GzDecoder;
use tar::{Entry, EntryType, PaxExtensions};

use super::{
    ArchiveError, KEPT_MODE_BITS, MAX_ENTRIES, MAX_NAME_BYTES, MAX_UNPACKED_BYTES, at, resolves_inside,
    stays_inside,
};
use crate::snapshot::names::is_reserved;

/// Most bytes of one extended header. It holds a path, a target and some numbers.
const MAX_EXTENSION_BYTES: u64 = 64 * 1024;
/// Most bytes of the names that are in memory until the end: those of folders and links.
const MAX_KEPT_NAME_BYTES: usize = 32 << 20;
/// Latest time of a modification: the end of the year 9999. File systems do not accept all later times.
const MAX_MODIFIED_SECS: u64 = 253_402_300_799;
/// The permission bits that every folder gets, because the worker must be able to read and to remove its content.
const FOLDER_MODE_BITS: u32 = 0o700;

/// Unpacks an archive into `folder`, which must be empty. Reads `from` to its end.
pub fn unpack(from: &mut impl Read, folder: &Path) -> Result<(), ArchiveError> {
    let volume = rustix::fs::statvfs(folder).map_err(|error| at(folder)(error.into()))?;
    let free = volume.f_bavail.saturating_mul(volume.f_frsize);
    let mut unpacker = Unpacker::new(folder, free.min(MAX_UNPACKED_BYTES));
    let mut archive = tar::Archive::new(GzDecoder::new(&mut *from));
    // Raw, because the crate reads long names into memory without a limit.
    for entry in archive.entries().map_err(ArchiveError::Damaged)?.raw(true) {
        unpacker.add(entry.map_err(ArchiveError::Damaged)?)?;
    }
    unpacker.finish()?;
    drop(archive);
    io::copy(from, &mut io::sink()).map(drop).map_err(ArchiveError::Damaged)
}

/// What the headers before an entry say about it.
#[derive(Default)]
struct Extensions {
    name: Option<PathBuf>,
    target: Option<PathBuf>,
}

struct Unpacker<'a> {
    folder: &'a Path,
    max_bytes: u64,
    entries: usize,
    bytes: u64,
    kept_name_bytes: usize,
    next: Extensions,
    folders: Vec<(PathBuf, u32)>,
    /// The names of links and their targets.
    links: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Unpacker<'a> {
    fn new(folder: &'a Path, max_bytes: u64) -> Self {
        let (next, folders, links) = (Extensions::default(), Vec::new(), Vec::new());
        Self { folder, max_bytes, entries: 0, bytes: 0, kept_name_bytes: 0, next, folders, links }
    }

    fn add(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(entry.size());
        if self.entries > MAX_ENTRIES || self.bytes > self.max_bytes {
            return Err(self.too_large());
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => self.next.name = Some(long_name(&mut entry)?),
            EntryType::GNULongLink => self.next.target = Some(long_name(&mut entry)?),
            EntryType::XHeader => self.extend(&mut entry)?,
            // It holds comments. Its content is skipped.
            EntryType::XGlobalHeader => {}
            _ => {
                let Extensions { name, target } = std::mem::take(&mut self.next);
                let name = match name {
                    Some(name) => name,
                    None => entry.path().map_err(ArchiveError::Damaged)?.into_owned(),
                };
                self.create(entry, kind, inside(&name)?, target)?;
            }
        }
        Ok(())
    }

    /// Reads an extended header (PAX).
    fn extend(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        let bytes = read_bounded(entry, MAX_EXTENSION_BYTES)?;
        for extension in PaxExtensions::new(&bytes) {
            let extension = extension.map_err(ArchiveError::Damaged)?;
            match extension.key_bytes() {
                b"path" => self.next.name = Some(path_of(extension.value_bytes())?),
                b"linkpath" => self.next.target = Some(path_of(extension.value_bytes())?),
                // Such an entry has another size than its header says. Our archives and those of images have none.
                b"size" => return Err(ArchiveError::Kind(self.next.name.take().unwrap_or_default())),
                _ => {}
            }
        }
        Ok(())
    }

    fn create(
        &mut self,
        mut entry: Entry<'_, impl Read>,
        kind: EntryType,
        name: PathBuf,
        target: Option<PathBuf>,
    ) -> Result<(), ArchiveError> {
        let path = self.folder.join(&name);
        let mode = entry.header().mode().map_err(ArchiveError::Damaged)? & KEPT_MODE_BITS;
        match kind {
            EntryType::Directory => {
                fs::create_dir_all(&path).map_err(at(&path))?;
                self.keep_names(name.as_os_str().len())?;
                self.folders.push((name, mode | FOLDER_MODE_BITS));
            }
            EntryType::Regular => {
                let modified = entry.header().mtime().map_err(ArchiveError::Damaged)?;
                write_new(&mut entry, &path, mode, modified).map_err(at(&path))?;
            }
            EntryType::Symlink => {
                let target = match target {
                    Some(target) => target,
                    None => {
                        entry.link_name().map_err(ArchiveError::Damaged)?.unwrap_or_default().into_owned()
                    }
                };
                if !stays_inside(&name, &target) {
                    return Err(ArchiveError::Outside(name));
                }
                self.keep_names(name.as_os_str().len() + target.as_os_str().len())?;
                self.links.push((name, target));
            }
            _ => return Err(ArchiveError::Kind(name)),
        }
        Ok(())
    }

    fn keep_names(&mut self, bytes: usize) -> Result<(), ArchiveError> {
        // A name in memory also needs its vector's entry.
        self.kept_name_bytes += bytes + size_of::<(PathBuf, PathBuf)>();
        if self.kept_name_bytes > MAX_KEPT_NAME_BYTES { Err(self.too_large()) } else { Ok(()) }
    }

    fn too_large(&self) -> ArchiveError {
        ArchiveError::TooLarge { max_bytes: self.max_bytes }
    }

    /// Creates the links, and sets the modes of folders.
    fn finish(mut self) -> Result<(), ArchiveError> {
        for (name, target) in &self.links {
            let path = self.folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(at(parent))?;
            }
            symlink(target, &path).map_err(at(&path))?;
        }
        // A link can lead outside through another link. All links exist before the first one is judged.
        self.links.retain(|(name, _)| !resolves_inside(self.folder, name));
        for (name, _) in &self.links {
            tracing::warn!(path = %name.display(), "a link of the snapshot leads outside and is left out");
            fs::remove_file(self.folder.join(name)).map_err(at(name))?;
        }
        // Inner folders first, and after their content, because a folder may deny writing.
        self.folders.sort_by(|a, b| b.cmp(a));
        for (name, mode) in &self.folders {
            let path = self.folder.join(name);
            fs::set_permissions(&path, Permissions::from_mode(*mode)).map_err(at(&path))?;
        }
        Ok(())
    }
}

fn write_new(entry: &mut Entry<'_, impl Read>, path: &Path, mode: u32, modified_secs: u64) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode | 0o200).open(path)?;
    if io::copy(entry, &mut file)? != entry.size() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within the file"));
    }
    file.set_modified(UNIX_EPOCH + Duration::from_secs(modified_secs.min(MAX_MODIFIED_SECS)))?;
    file.set_permissions(Permissions::from_mode(mode))
}

fn long_name(entry: &mut Entry<'_, impl Read>) -> Result<PathBuf, ArchiveError> {
    // The name ends with a zero byte.
    let bytes = read_bounded(entry, MAX_NAME_BYTES as u64 + 1)?;
    path_of(bytes.strip_suffix(&[0]).unwrap_or(&bytes))
}

/// The content of an entry that describes the next one.
fn read_bounded(entry: &mut Entry<'_, impl Read>, max_bytes: u64) -> Result<Vec<u8>, ArchiveError> {
    if entry.size() > max_bytes {
        return Err(ArchiveError::Name);
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(ArchiveError::Damaged)?;
    Ok(bytes)
}

fn path_of(bytes: &[u8]) -> Result<PathBuf, ArchiveError> {
    if bytes.len() > MAX_NAME_BYTES || bytes.contains(&0) {
        return Err(ArchiveError::Name);
    }
    Ok(OsString::from_vec(bytes.to_vec()).into())
}

/// The path, if it is inside the folder and not reserved.
fn inside(path: &Path) -> Result<PathBuf, ArchiveError> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(ArchiveError::Name);
    }
    let mut parts = path.components().filter(|part| *part != Component::CurDir).peekable();
    let is_free = parts.peek().is_some_and(|first| !is_reserved(first.as_os_str()));
    let clean: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    if is_free && is_plain { Ok(clean) } else { Err(ArchiveError::Outside(path.to_owned())) }
}
