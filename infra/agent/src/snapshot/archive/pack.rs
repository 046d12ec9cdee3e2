//! Packing.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{Mode, OFlags, open, openat};
use tar::{EntryType, Header};

use super::{
    ArchiveError, Count, FILE_MODE_BITS, FOLDER_MODE_BITS, KEPT_MODE_BITS, Limits, MAX_NAME_BYTES, at,
    resolves_inside, stays_inside,
};
use crate::snapshot::names::{is_of_deployment, is_reserved};
use crate::tree;

/// Packs the content of `folder`.
pub fn pack<W: Write>(folder: &Path, into: W) -> Result<W, ArchiveError> {
    let mut packer = Packer {
        folder,
        tar: tar::Builder::new(GzEncoder::new(into, Compression::fast())),
        count: Count::new(Limits::ANY),
    };
    // A stack and no recursion, because a program can nest folders deeper than this thread can recurse.
    let mut left = packer.names(Path::new(""))?;
    while let Some(name) = left.pop() {
        left.extend(packer.pack(&name)?);
    }
    let gzip = packer.tar.into_inner().map_err(at(folder))?;
    gzip.finish().map_err(at(folder))
}

struct Packer<'a, W: Write> {
    folder: &'a Path,
    tar: tar::Builder<GzEncoder<W>>,
    count: Count,
}

impl<W: Write> Packer<'_, W> {
    /// The entries of a folder in reverse order.
    fn names(&self, within: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
        let path = self.folder.join(within);
        let names = tree::with_access(&path, FOLDER_MODE_BITS, || {
            // A folder whose entries cannot be reached can still be listed.
            fs::symlink_metadata(path.join("."))?;
            fs::read_dir(&path)?.map(|entry| entry.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = names.map_err(at(&path))?;
        names.retain(|name| !(within.as_os_str().is_empty() && is_reserved(name)));
        names.sort_by(|a, b| b.cmp(a)); // The order of a folder's entries is not defined.
        Ok(names.iter().map(|name| within.join(name)).collect())
    }

    /// Packs one entry. Answers the entries of a folder, which are packed, too.
    fn pack(&mut self, name: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
        let path = self.folder.join(name);
        if name.as_os_str().len() > MAX_NAME_BYTES {
            left_out(name, "its path is too long");
            return Ok(Vec::new());
        }
        let meta = fs::symlink_metadata(&path).map_err(at(&path))?;
        if meta.is_dir() {
            return self.pack_folder(name, &path, &meta);
        }
        if meta.is_file() {
            self.pack_file(name, &path, &meta)?;
        } else if meta.is_symlink() {
            let target = fs::read_link(&path).map_err(at(&path))?;
            if self.is_kept(name, &target) {
                self.count.add(0)?;
                self.count.keep_name(name.as_os_str().len() + target.as_os_str().len())?;
                let mut header = header_of(&meta, EntryType::Symlink);
                self.tar.append_link(&mut header, name, target).map_err(at(&path))?;
            } else {
                left_out(name, "it is a link to an outside target");
            }
        } else {
            left_out(name, "it is not a file");
        }
        Ok(Vec::new())
    }

    /// Packs a folder, and answers its entries.
    fn pack_folder(
        &mut self,
        name: &Path,
        path: &Path,
        meta: &Metadata,
    ) -> Result<Vec<PathBuf>, ArchiveError> {
        // First, because a folder without access does not show whether it belongs to the deployment.
        let entries = match self.names(name) {
            Err(ArchiveError::Io(_, error)) if error.kind() == ErrorKind::PermissionDenied => {
                left_out(name, "the worker has no access to it");
                return Ok(Vec::new());
            }
            entries => entries?,
        };
        if is_of_deployment(path) {
            return Ok(Vec::new());
        }
        self.count.add(0)?;
        self.count.keep_name(name.as_os_str().len())?;
        let mut header = header_of(meta, EntryType::Directory);
        self.tar.append_data(&mut header, name, io::empty()).map_err(at(path))?;
        Ok(entries)
    }

    fn pack_file(&mut self, name: &Path, path: &Path, meta: &Metadata) -> Result<(), ArchiveError> {
        self.count.add(meta.len())?;
        let file = match tree::with_access(path, FILE_MODE_BITS, || open_inside(self.folder, name)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                left_out(name, "the worker has no access to it");
                return Ok(());
            }
            file => file.map_err(at(path))?,
        };
        let mut header = header_of(meta, EntryType::Regular);
        header.set_size(meta.len());
        let mut content = file.take(meta.len());
        self.tar.append_data(&mut header, name, &mut content).map_err(at(path))?;
        if content.limit() > 0 {
            // The archive has fewer bytes of the file than its header says.
            let shorter = io::Error::new(ErrorKind::UnexpectedEof, "the file became shorter");
            return Err(at(path)(shorter));
        }
        Ok(())
    }

    fn is_kept(&self, name: &Path, target: &Path) -> bool {
        target.as_os_str().as_bytes().len() <= MAX_NAME_BYTES
            && stays_inside(name, target)
            && resolves_inside(self.folder, name)
    }
}

/// Opens the file `name` in `folder`, through no link: a process that outlives its message may replace the file, or a
/// folder that it is in, by a link or a pipe.
pub(super) fn open_inside(folder: &Path, name: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut at = open(folder, flags | OFlags::DIRECTORY, Mode::empty())?;
    let mut parts = name.components().peekable();
    while let Some(part) = parts.next() {
        let kind = if parts.peek().is_some() { OFlags::DIRECTORY } else { OFlags::NONBLOCK };
        at = openat(&at, part.as_os_str(), flags | OFlags::NOFOLLOW | kind, Mode::empty())?;
    }
    Ok(at.into())
}

/// The header of an entry without content. Its mode is the same before and after the worker takes access.
fn header_of(meta: &Metadata, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    let access = if meta.is_dir() { FOLDER_MODE_BITS } else { FILE_MODE_BITS };
    header.set_mode(meta.permissions().mode() & KEPT_MODE_BITS | access);
    let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    header.set_mtime(modified.unwrap_or_default().as_secs());
    header.set_size(0);
    header
}

fn left_out(name: &Path, why: &str) {
    tracing::warn!(path = %name.display(), why, "left out of the snapshot");
}
