//! The workspace folder. The agent's program can write anything there, so no file is read or written through a symbolic link,
//! and a file appears whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

use af_domain::document::{Action, MAX_DOCUMENT_BYTES, Owner, Synced, action};
use af_domain::ids::{DocumentPath, Sha256Hex};
use af_domain::skill::bundle::sha256;
use rustix::fs::OFlags;

use super::Text;
use crate::tree;

/// The file with the digests of the texts that the folder and the deployment had in common.
pub const SYNCED_FILE: &str = ".af-documents.json";
/// The name of a file before it is complete.
const NEW_FILE: &str = ".af-document.new";
/// Largest such file that is read: it has one line for each document.
const MAX_SYNCED_BYTES: u64 = 256 * 1024;
/// Most entries of the memory folder that are looked at: more than the days that a set of documents can have.
const MAX_MEMORY_ENTRIES: usize = 2_000;
/// The agent's own documents besides the memory of days.
const PERSONAL: [&str; 2] = ["USER.md", "MEMORY.md"];

/// The workspace folder in a data folder.
pub struct Folder {
    pub data_dir: PathBuf,
    pub dir: PathBuf,
    /// The user that the files belong to, if it is not the worker's own.
    pub uid: Option<u32>,
}

/// An edit of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The document with its new text.
    pub text: Text,
    /// The digest of the text that the agent has edited.
    pub base: Option<Sha256Hex>,
}

/// The edits of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Edits of the agent's own documents.
    pub edits: Vec<Edit>,
    /// Documents of the operator in which an edit was taken back.
    pub put_back: Vec<String>,
}

/// What is at the path of a document.
enum OnDisk {
    Nothing,
    Text(Sha256Hex, String),
    /// A folder, a link, or a file that cannot be a document.
    Other,
}

impl OnDisk {
    fn digest(&self) -> Option<Sha256Hex> {
        match self {
            Self::Nothing => None,
            Self::Text(digest, _) => Some(digest.clone()),
            // It differs from the digest of every document.
            Self::Other => Some(sha256(b"not a document\0")),
        }
    }
}

impl Folder {
    /// Writes the documents that are missing or outdated, and removes those that the deployment has deleted. `since` is the
    /// first day whose memory the documents contain. Returns the paths in which an edit was taken back.
    pub fn place(&self, documents: &[Text], since: &str) -> io::Result<Vec<String>> {
        let before = self.synced()?;
        let (mut synced, mut put_back) = (before.clone(), Vec::new());
        for document in documents {
            let on_disk = self.read(&document.path)?.digest();
            let wanted = Some((document.owner, &document.sha256));
            match action(wanted, on_disk.as_ref(), before.get(&document.path)) {
                Action::Keep if on_disk.as_ref() != Some(&document.sha256) => continue,
                Action::Keep | Action::Remove => {}
                Action::Write => self.write(&document.path, &document.text)?,
                Action::PutBack => {
                    self.write(&document.path, &document.text)?;
                    put_back.push(document.path.to_string());
                }
            }
            synced.insert(document.path.clone(), document.sha256.clone());
        }
        for (path, digest) in &before {
            let is_covered = path.day().is_none_or(|day| day >= since);
            if !is_covered || documents.iter().any(|document| document.path == *path) {
                continue;
            }
            if action(None, self.read(path)?.digest().as_ref(), Some(digest)) == Action::Remove {
                fs::remove_file(self.dir.join(path.as_str()))?;
            }
            synced.remove(path);
        }
        if synced != before {
            self.write_synced(&synced)?;
        }
        Ok(put_back)
    }

    /// Finds the edits of the agent, and takes back those of the operator's documents.
    pub fn collect(&self, documents: &[Text]) -> io::Result<Collected> {
        let (synced, mut collected) = (self.synced()?, Collected::default());
        for document in documents.iter().filter(|document| document.owner == Owner::Operator) {
            let on_disk = self.read(&document.path)?.digest();
            if on_disk.is_some_and(|digest| digest != document.sha256) {
                self.write(&document.path, &document.text)?;
                collected.put_back.push(document.path.to_string());
            }
        }
        for path in self.personal()? {
            let is_operators =
                documents.iter().any(|document| document.path == path && document.owner == Owner::Operator);
            let OnDisk::Text(digest, text) = self.read(&path)? else { continue };
            let base = synced.get(&path).cloned();
            if !is_operators && base.as_ref() != Some(&digest) {
                let text = Text { path, owner: Owner::Agent, sha256: digest, text };
                collected.edits.push(Edit { text, base });
            }
        }
        Ok(collected)
    }

    /// Remembers texts that the deployment has, too.
    pub fn remember(&self, sent: Vec<(DocumentPath, Sha256Hex)>) -> io::Result<()> {
        let mut synced = self.synced()?;
        synced.extend(sent);
        self.write_synced(&synced)
    }

    /// The paths at which the agent may have documents of its own.
    fn personal(&self) -> io::Result<Vec<DocumentPath>> {
        let mut paths: Vec<_> =
            PERSONAL.into_iter().filter_map(|path| DocumentPath::parse(path).ok()).collect();
        if !self.is_folder_of_documents("memory/")? {
            return Ok(paths);
        }
        for entry in fs::read_dir(self.dir.join("memory"))?.take(MAX_MEMORY_ENTRIES) {
            let name = entry?.file_name();
            let path = name.to_str().and_then(|name| DocumentPath::parse(format!("memory/{name}")).ok());
            paths.extend(path);
        }
        Ok(paths)
    }

    /// Whether the folders on the way from the data folder to a document exist, and none of them is a link.
    fn is_folder_of_documents(&self, path: &str) -> io::Result<bool> {
        for folder in self.folders(path) {
            if !kind(&folder)?.is_some_and(|kind| kind.is_dir()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The folders on the way from the data folder to a document.
    fn folders(&self, path: &str) -> Vec<PathBuf> {
        let within = self.dir.strip_prefix(&self.data_dir).unwrap_or(Path::new(""));
        let inner = path.rsplit_once('/').map(|(folder, _)| Path::new(folder));
        let mut at = self.data_dir.clone();
        let parts = within.components().chain(inner.into_iter().flat_map(Path::components));
        parts
            .map(|part| {
                at.push(part);
                at.clone()
            })
            .collect()
    }

    fn read(&self, path: &DocumentPath) -> io::Result<OnDisk> {
        if !self.is_folder_of_documents(path.as_str())? {
            return Ok(OnDisk::Nothing);
        }
        let at = self.dir.join(path.as_str());
        if kind(&at)?.is_none() {
            return Ok(OnDisk::Nothing);
        }
        let Some(bytes) = read_plain(&at, MAX_DOCUMENT_BYTES as u64)? else { return Ok(OnDisk::Other) };
        Ok(match String::from_utf8(bytes) {
            Ok(text) => OnDisk::Text(sha256(text.as_bytes()), text),
            Err(_) => OnDisk::Other,
        })
    }

    fn write(&self, path: &DocumentPath, text: &str) -> io::Result<()> {
        self.write_file(path.as_str(), text.as_bytes())
    }

    /// Writes a file in one step. Links and files in the place of its folders are removed.
    fn write_file(&self, path: &str, content: &[u8]) -> io::Result<()> {
        for folder in self.folders(path) {
            match kind(&folder)? {
                Some(kind) if kind.is_dir() => continue,
                Some(_) => fs::remove_file(&folder)?,
                None => {}
            }
            fs::create_dir(&folder)?;
            self.give(&folder)?;
        }
        let (new, at) = (self.dir.join(NEW_FILE), self.dir.join(path));
        if kind(&new)?.is_some() {
            tree::remove(&self.dir, &new)?;
        }
        let mut file = File::create_new(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        self.give(&new)?;
        if kind(&at)?.is_some_and(|kind| kind.is_dir()) {
            tree::remove(&self.dir, &at)?;
        }
        fs::rename(new, at)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        self.uid.map_or(Ok(()), |uid| lchown(path, Some(uid), Some(uid)))
    }

    /// The digests of the last time. A file that cannot be read counts as none: the deployment then decides.
    fn synced(&self) -> io::Result<Synced> {
        if !self.is_folder_of_documents("")? {
            return Ok(Synced::new());
        }
        let at = self.dir.join(SYNCED_FILE);
        let Some(bytes) = read_plain(&at, MAX_SYNCED_BYTES)? else { return Ok(Synced::new()) };
        let stored: BTreeMap<String, String> = serde_json::from_slice(&bytes).unwrap_or_default();
        let entry = |(path, digest): (String, String)| {
            Some((DocumentPath::parse(path).ok()?, Sha256Hex::parse(digest).ok()?))
        };
        Ok(stored.into_iter().filter_map(entry).collect())
    }

    fn write_synced(&self, synced: &Synced) -> io::Result<()> {
        let stored: BTreeMap<_, _> =
            synced.iter().map(|(path, digest)| (path.as_str(), digest.as_str())).collect();
        self.write_file(SYNCED_FILE, &serde_json::to_vec(&stored).map_err(io::Error::other)?)
    }
}

/// The content of a plain file; `None` if there is none, it has more bytes, or another name leads to it, too: that could be
/// a file outside.
fn read_plain(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    if !kind(path)?.is_some_and(|kind| kind.is_file()) {
        return Ok(None);
    }
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.nlink() > 1 || meta.len() > max_bytes {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max_bytes).then_some(bytes))
}

/// The type of `path` itself; `None` when it does not exist.
fn kind(path: &Path) -> io::Result<Option<fs::FileType>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
