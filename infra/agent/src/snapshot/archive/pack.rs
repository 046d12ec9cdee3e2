//! Packing.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use super::{
    ArchiveError, KEPT_MODE_BITS, MAX_ENTRIES, MAX_NAME_BYTES, MAX_UNPACKED_BYTES, at, resolves_inside,
    stays_inside,
};
use crate::snapshot::names::{is_of_deployment, is_reserved};

/// Packs the content of `folder`.
pub fn pack<W: Write>(folder: &Path, into: W) -> Result<W, ArchiveError> {
    let mut packer = Packer {
        folder,
        tar: tar::Builder::new(GzEncoder::new(into, Compression::fast())),
        entries: 0,
        bytes: 0,
    };
    // A stack and no recursion, because a program can nest folders deeper than this thread can recurse.
    let mut left = packer.names(Path::new(""))?;
    while let Some(name) = left.pop() {
        if packer.pack(&name)? {
            left.extend(packer.names(&name)?);
        }
    }
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
    /// The entries of a folder in reverse order.
    fn names(&self, within: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
        let path = self.folder.join(within);
        let names = fs::read_dir(&path).and_then(|entries| {
            entries.map(|entry| entry.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = names.map_err(at(&path))?;
        names.retain(|name| !(within.as_os_str().is_empty() && is_reserved(name)));
        names.sort_by(|a, b| b.cmp(a)); // The order of a folder's entries is not defined.
        Ok(names.iter().map(|name| within.join(name)).collect())
    }

    /// Packs one entry. Answers whether it is a folder whose entries are packed, too.
    fn pack(&mut self, name: &Path) -> Result<bool, ArchiveError> {
        let path = self.folder.join(name);
        if name.as_os_str().len() > MAX_NAME_BYTES {
            left_out(name, "its path is too long");
            return Ok(false);
        }
        let meta = fs::symlink_metadata(&path).map_err(at(&path))?;
        if meta.is_dir() && is_of_deployment(&path) {
            return Ok(false);
        }
        self.count(if meta.is_file() { meta.len() } else { 0 })?;
        let mut header = header_of(&meta);
        if meta.is_file() {
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
        } else if meta.is_symlink() {
            let target = fs::read_link(&path).map_err(at(&path))?;
            if self.is_kept(name, &target) {
                header.set_entry_type(EntryType::Symlink);
                self.tar.append_link(&mut header, name, target).map_err(at(&path))?;
            } else {
                left_out(name, "it is a link to an outside target");
            }
        } else {
            left_out(name, "it is not a file");
        }
        Ok(meta.is_dir())
    }

    /// Counts an entry before it is written: a sparse file can be longer than all disks.
    fn count(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.entries > MAX_ENTRIES || self.bytes > MAX_UNPACKED_BYTES {
            return Err(ArchiveError::TooLarge { max_bytes: MAX_UNPACKED_BYTES });
        }
        Ok(())
    }

    fn is_kept(&self, name: &Path, target: &Path) -> bool {
        target.as_os_str().as_bytes().len() <= MAX_NAME_BYTES
            && stays_inside(name, target)
            && resolves_inside(self.folder, name)
    }
}

fn header_of(meta: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(meta.permissions().mode() & KEPT_MODE_BITS);
    let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    header.set_mtime(modified.unwrap_or_default().as_secs());
    header.set_size(0);
    header
}

fn left_out(name: &Path, why: &str) {
    tracing::warn!(path = %name.display(), why, "left out of the snapshot");
}
