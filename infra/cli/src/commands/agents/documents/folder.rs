//! A folder with the documents of a set.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use af_domain::document::MAX_DOCUMENT_BYTES;
use af_domain::ids::DocumentPath;
use anyhow::{Context, bail};

/// Reads the documents of a folder. Other files are left out. An error names the document that cannot be stored.
pub fn read(folder: &Path) -> anyhow::Result<BTreeMap<DocumentPath, String>> {
    let mut found = BTreeMap::new();
    let mut names = names(folder, "")?;
    if names.iter().any(|name| name == "memory") {
        names.extend(self::names(&folder.join("memory"), "memory/")?);
    }
    for path in names.into_iter().filter_map(|name| DocumentPath::parse(name).ok()) {
        let at = folder.join(path.as_str());
        let meta = fs::symlink_metadata(&at).with_context(|| format!("{} cannot be read", at.display()))?;
        if !meta.is_file() {
            bail!("{} is not a file; links are not followed", at.display());
        }
        if meta.len() > MAX_DOCUMENT_BYTES as u64 {
            bail!("{} has {} bytes, a document has at most {MAX_DOCUMENT_BYTES}", at.display(), meta.len());
        }
        let text = fs::read_to_string(&at)
            .with_context(|| format!("{} cannot be read as UTF-8 text", at.display()))?;
        found.insert(path, text);
    }
    Ok(found)
}

fn names(folder: &Path, within: &str) -> anyhow::Result<Vec<String>> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let name = entry.with_context(unreadable)?.file_name();
        names.extend(name.to_str().map(|name| format!("{within}{name}")));
    }
    Ok(names)
}

/// Writes a document into a folder.
pub fn write(folder: &Path, path: &DocumentPath, text: &str) -> anyhow::Result<()> {
    let at = folder.join(path.as_str());
    let parent = at.parent().unwrap_or(folder);
    fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    fs::write(&at, text).with_context(|| format!("{} cannot be written", at.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_documents_that_were_written_and_other_files_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = |path: &str| DocumentPath::parse(path).unwrap();
        assert!(read(&folder.path().join("missing")).is_err());
        write(folder.path(), &path("SOUL.md"), "be kind").unwrap();
        write(folder.path(), &path("memory/2026-01-31.md"), "met ann").unwrap();
        fs::write(folder.path().join("README.md"), "not a document").unwrap();
        let documents = read(folder.path()).unwrap();
        let expected = [("SOUL.md", "be kind"), ("memory/2026-01-31.md", "met ann")];
        assert_eq!(documents, expected.map(|(at, text)| (path(at), text.to_owned())).into());
    }

    #[test]
    fn a_document_that_cannot_be_stored_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let soul = folder.path().join("SOUL.md");
        fs::write(&soul, [0xff]).unwrap();
        assert!(
            format!("{:#}", read(folder.path()).unwrap_err()).contains("SOUL.md cannot be read as UTF-8")
        );
        fs::write(&soul, "x".repeat(MAX_DOCUMENT_BYTES + 1)).unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("65537 bytes"));
        fs::remove_file(&soul).unwrap();
        std::os::unix::fs::symlink("elsewhere", &soul).unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("links are not followed"));
    }
}
