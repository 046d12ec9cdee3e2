//! The keys of workspace documents. The documents of a conversation are in its partition.

use af_domain::document::DocumentSet;
use af_domain::ids::DocumentPath;

use super::{CONVERSATIONS_PREFIX, Key};

/// The sort key of the head of a set. It sorts after the pending tool calls of a conversation, so that the query of its
/// history returns it, too.
pub(crate) const DOCUMENTS_HEAD: &str = "H~D";
/// The prefix of the sort keys of documents.
pub const DOCUMENTS: &str = "D#";

/// Returns the partition of a set of documents.
pub fn documents_partition(set: &DocumentSet) -> String {
    match set {
        DocumentSet::Agent(agent) => format!("AD#{agent}"),
        DocumentSet::Conversation(key) => format!("{CONVERSATIONS_PREFIX}{key}"),
    }
}

/// The head of a set of documents.
pub fn documents_head(set: &DocumentSet) -> Key {
    Key::new(documents_partition(set), DOCUMENTS_HEAD)
}

/// A document, without its content.
pub fn document(set: &DocumentSet, path: &DocumentPath) -> Key {
    Key::new(documents_partition(set), format!("{DOCUMENTS}{path}"))
}

/// A version of a document, with its content.
pub fn document_version(set: &DocumentSet, path: &DocumentPath, version: u64) -> Key {
    Key::new(documents_partition(set), format!("{}{version:010}", document_versions(path)))
}

/// Returns the prefix of the sort keys of a document's versions.
pub fn document_versions(path: &DocumentPath) -> String {
    format!("V#{path}#")
}
