//! Edits of a document: their limits, and the versions that they add.

use super::{
    Document, MAX_DOCUMENT_BYTES, MAX_DOCUMENTS, MAX_SET_BYTES, MAX_VERSIONS, Owner, SetHead, Version,
};
use crate::ids::{DocumentPath, Sha256Hex};
use crate::refusal::{Code, Refusal};
use crate::skill::bundle::sha256;
use crate::snapshot::Stored;
use crate::time::Timestamp;

/// An edit by an operator, an app or a user.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The document.
    pub path: DocumentPath,
    /// The new text; `None` deletes the document.
    pub text: Option<String>,
    /// The new owner; `None` keeps the owner, or sets the default owner of a new document.
    pub owner: Option<Owner>,
}

/// An edit that an agent made during a run.
#[derive(Clone, Debug)]
pub struct RunEdit {
    /// The document.
    pub path: DocumentPath,
    /// The text after the run.
    pub text: String,
    /// The digest of the text on which the edit is based; `None` for a new document.
    pub base: Option<Sha256Hex>,
}

/// The result of an edit that an agent made during a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEditResult {
    /// The text is stored.
    Stored(Change),
    /// The document already has this text.
    Unchanged,
    /// The document was changed during the run. It stays as it is, and the text of the agent is a version before it.
    Conflict(Change),
    /// An operator owns the document, so the text is not stored.
    OperatorOwned,
}

/// A change of a set: the versions that it adds, the last of which is the document, and the head after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The versions to add, in order; at least one.
    pub versions: Vec<Version>,
    /// The number of old versions that are not kept any more: these and all before.
    pub forgotten: Vec<u64>,
    /// The head after the change.
    pub head: SetHead,
}

impl Change {
    /// The document after the change.
    ///
    /// # Panics
    /// Never: a change has at least one version.
    pub fn document(&self) -> &Document {
        &self.versions.last().expect("a change has a version").document
    }
}

/// Returns the change that `edit` makes; `None` if the document already is as the edit wants it. `current` is the state of
/// the document in the set whose head is `head`.
///
/// # Errors
/// A refusal with the broken limit.
pub fn apply(
    head: &SetHead,
    current: Option<&Document>,
    edit: Edit,
    by: &str,
    now: Timestamp,
) -> Result<Option<Change>, Refusal> {
    let Edit { path, text, owner } = edit;
    let content = text.as_deref().map(|text| checked("/content", text)).transpose()?;
    let owner = owner.or(current.map(|current| current.owner)).unwrap_or_else(|| Owner::default_of(&path));
    let existing = current.filter(|current| current.content.is_some());
    if existing.map(|existing| &existing.content) == content.is_some().then_some(&content)
        && existing.is_none_or(|existing| existing.owner == owner)
    {
        return Ok(None);
    }
    let version = next_version(current);
    let document = Document { path, owner, content, version, updated_at: now, updated_by: by.to_owned() };
    change(head, current, vec![Version { document, text }], now, "/content").map(Some)
}

/// Decides on an edit that an agent made during a run. `current` is the state of the document in the set of the
/// conversation, and `inherited` that of the agent's set.
///
/// # Errors
/// A refusal at `pointer` with the broken limit.
pub fn apply_run_edit(
    head: &SetHead,
    current: Option<&Version>,
    inherited: Option<&Document>,
    edit: RunEdit,
    pointer: &str,
    by: &str,
    now: Timestamp,
) -> Result<RunEditResult, Refusal> {
    let RunEdit { path, text, base } = edit;
    let content = checked(pointer, &text)?;
    let own = current.map(|current| &current.document);
    let is_there = |document: &&Document| document.content.is_some();
    let inherited = inherited.filter(is_there);
    let effective = own.filter(is_there).or(inherited);
    let owner = effective.map_or_else(|| Owner::default_of(&path), |document| document.owner);
    if owner == Owner::Operator || !path.is_personal() {
        return Ok(RunEditResult::OperatorOwned);
    }
    if effective.and_then(|document| document.content.as_ref()) == Some(&content) {
        return Ok(RunEditResult::Unchanged);
    }
    let sha256_of = |document: &Document| document.content.as_ref().map(|content| content.sha256.clone());
    // The agent's text begins with the document of the agent. A newer one of those does not replace it.
    let is_current = own.is_none() || effective.and_then(sha256_of) == base;
    let version = next_version(own);
    let document =
        Document { path, owner, content: Some(content), version, updated_at: now, updated_by: by.to_owned() };
    let mut versions = vec![Version { document, text: Some(text) }];
    if is_current {
        return change(head, own, versions, now, pointer).map(RunEditResult::Stored);
    }
    if let Some(current) = current {
        let document = Document { version: version + 1, ..current.document.clone() };
        versions.push(Version { document, text: current.text.clone() });
    }
    change(head, own, versions, now, pointer).map(RunEditResult::Conflict)
}

fn next_version(current: Option<&Document>) -> u64 {
    current.map_or(0, |current| current.version) + 1
}

/// Checks a text and returns its size and digest.
fn checked(pointer: &str, text: &str) -> Result<Stored, Refusal> {
    if text.len() > MAX_DOCUMENT_BYTES {
        let detail =
            format!("a document has at most {MAX_DOCUMENT_BYTES} bytes, this one has {}", text.len());
        return Err(Refusal { code: Code::PayloadTooLarge, ..Refusal::field(pointer, detail) });
    }
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !is_text(*c)) {
        let detail =
            format!("a document is text, but byte {at} begins the control character {}", c.escape_unicode());
        return Err(Refusal::field(pointer, detail));
    }
    Ok(Stored { size_bytes: text.len() as u64, sha256: sha256(text.as_bytes()) })
}

fn change(
    head: &SetHead,
    current: Option<&Document>,
    versions: Vec<Version>,
    now: Timestamp,
    pointer: &str,
) -> Result<Change, Refusal> {
    let after = versions.last().map_or(0, |version| version.document.size_bytes());
    let before = current.map_or(0, Document::size_bytes);
    let head = SetHead {
        revision: head.revision + 1,
        size_bytes: head.size_bytes.saturating_sub(before) + after,
        paths: head.paths + u64::from(current.is_none()),
        changed_at: now,
    };
    if after > before && head.size_bytes > MAX_SET_BYTES {
        let detail = format!(
            "all documents together have at most {MAX_SET_BYTES} bytes, with this one they have {}; delete others first",
            head.size_bytes
        );
        return Err(Refusal { code: Code::PayloadTooLarge, ..Refusal::field(pointer, detail) });
    }
    if head.paths > MAX_DOCUMENTS {
        let detail =
            format!("there are {MAX_DOCUMENTS} documents, deleted ones included; use one of their paths");
        return Err(Refusal { code: Code::PayloadTooLarge, ..Refusal::field(pointer, detail) });
    }
    let added = versions.iter().map(|version| version.document.version);
    let forgotten =
        added.filter_map(|version| version.checked_sub(MAX_VERSIONS).filter(|old| *old > 0)).collect();
    Ok(Change { versions, forgotten, head })
}

#[cfg(test)]
mod tests;
