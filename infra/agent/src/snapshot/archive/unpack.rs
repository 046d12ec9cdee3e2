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
    ArchiveError, Count, FILE_MODE_BITS, FOLDER_MODE_BITS, KEPT_MODE_BITS, Limits, MAX_NAME_BYTES, at,
    resolves_inside, stays_inside,
};
use crate::snapshot::names::is_reserved;

/// Most bytes of one extended header. It holds a path, a target and some numbers.
const MAX_EXTENSION_BYTES: u64 = 64 * 1024;
/// Most bytes of all extended headers. The longest name and the longest target of each entry have 7 GB.
const MAX_EXTENSIONS_BYTES: u64 = 8 << 30;
/// Bytes of a header without its content.
const HEADER_BYTES: u64 = 512;
/// Latest time of a modification: the end of the year 9999. File systems do not accept all later times.
const MAX_MODIFIED_SECS: u64 = 253_402_300_799;

/// Unpacks an archive into `folder`, which must be empty. Reads `from` to its end.
pub fn unpack(from: &mut impl Read, folder: &Path) -> Result<(), ArchiveError> {
    let volume = rustix::fs::statvfs(folder).map_err(|error| at(folder)(error.into()))?;
    unpack_within(Limits::of_volume(&volume), from, folder)
}

pub(super) fn unpack_within(limits: Limits, from: &mut impl Read, folder: &Path) -> Result<(), ArchiveError> {
    let mut unpacker = Unpacker::new(folder, limits);
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
    count: Count,
    extension_bytes: u64,
    next: Extensions,
    folders: Vec<(PathBuf, u32)>,
    /// The names of links and their targets.
    links: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Unpacker<'a> {
    fn new(folder: &'a Path, limits: Limits) -> Self {
        let (count, next) = (Count::new(limits), Extensions::default());
        let (folders, links) = (Vec::new(), Vec::new());
        Self { folder, count, extension_bytes: 0, next, folders, links }
    }

    fn add(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        let kind = entry.header().entry_type();
        if is_extension(kind) {
            let bytes = entry.size().saturating_add(HEADER_BYTES);
            self.extension_bytes = self.extension_bytes.saturating_add(bytes);
            if self.extension_bytes > MAX_EXTENSIONS_BYTES {
                return Err(self.count.limits.too_large());
            }
        }
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
                self.create_folders(&name)?;
                self.count.keep_name(name.as_os_str().len())?;
                self.folders.push((name, mode | FOLDER_MODE_BITS));
            }
            EntryType::Regular => {
                let modified = entry.header().mtime().map_err(ArchiveError::Damaged)?;
                self.count.add(entry.size())?;
                self.create_parents(&name)?;
                write_new(&mut entry, &path, mode | FILE_MODE_BITS, modified).map_err(at(&path))?;
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
                self.count.add(0)?;
                self.count.keep_name(name.as_os_str().len() + target.as_os_str().len())?;
                self.links.push((name, target));
            }
            _ => return Err(ArchiveError::Kind(name)),
        }
        Ok(())
    }

    /// Creates the folder `name` and the folders that it is in. Counts each new one as an entry before it is created.
    fn create_folders(&mut self, name: &Path) -> Result<(), ArchiveError> {
        let is_folder = |name: &Path| fs::symlink_metadata(self.folder.join(name)).is_ok_and(|m| m.is_dir());
        let new: Vec<_> = name.ancestors().take_while(|name| !is_folder(name)).collect();
        new.iter().try_for_each(|_| self.count.add(0))?;
        for name in new.into_iter().rev() {
            let path = self.folder.join(name);
            fs::create_dir(&path).map_err(at(&path))?;
        }
        Ok(())
    }

    /// Creates the folders that the entry `name` is in.
    fn create_parents(&mut self, name: &Path) -> Result<(), ArchiveError> {
        name.parent().map_or(Ok(()), |parent| self.create_folders(parent))
    }

    /// Creates the links, and sets the modes of folders.
    fn finish(mut self) -> Result<(), ArchiveError> {
        let mut links = std::mem::take(&mut self.links);
        // All folders exist before the first link, so that no folder or link is created through a link. A link with
        // entries has the name of a folder, and cannot be created.
        for (name, _) in &links {
            self.create_parents(name)?;
        }
        for (name, target) in &links {
            let path = self.folder.join(name);
            symlink(target, &path).map_err(at(&path))?;
        }
        // A link can lead outside through another link. All links exist before the first one is judged.
        links.retain(|(name, _)| !resolves_inside(self.folder, name));
        for (name, _) in &links {
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
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode | 0o200).open(path)?;
    if io::copy(entry, &mut file)? != entry.size() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within the file"));
    }
    file.set_modified(UNIX_EPOCH + Duration::from_secs(modified_secs.min(MAX_MODIFIED_SECS)))?;
    file.set_permissions(Permissions::from_mode(mode))
}

/// Whether this entry describes the next ones, and creates nothing.
fn is_extension(kind: EntryType) -> bool {
    use EntryType::{GNULongLink, GNULongName, XGlobalHeader, XHeader};
    matches!(kind, GNULongName | GNULongLink | XHeader | XGlobalHeader)
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
