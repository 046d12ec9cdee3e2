//! Workspace documents: the texts that tell an agent who it is, how it works and what it remembers.
//!
//! A *set* of documents belongs to an agent or to one conversation. A document of a conversation replaces the document of
//! the agent with the same path. Every change adds a version; a deletion is a version without content. A set changes in one
//! step: its head counts the changes, and a change is committed on condition of the head that it was decided on.
//!
//! An operator or the agent owns a document. A worker writes a document of the operator before each run and takes an edit of
//! the agent back. It writes a document of the agent when it is absent, and sends the edits of the agent to the deployment.

mod edit;
mod materialise;
mod workspace;

pub use edit::{Change, Edit, RunEdit, RunEditResult, apply, apply_run_edit};
pub use materialise::{Action, Synced, action};
pub use workspace::{Delivery, Fingerprint, Placed, Workspace, compile};

use crate::ids::{AgentKey, ConversationKey, DocumentPath};
use crate::named_enum;
use crate::snapshot::Stored;
use crate::time::Timestamp;

/// Most bytes of one document.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;
/// Most bytes of all documents of a set.
pub const MAX_SET_BYTES: u64 = 512 * 1024;
/// Most paths of a set, the paths of deleted documents included. They are more than a memory of two years has days.
pub const MAX_DOCUMENTS: u64 = 1_000;
/// Versions of a document that are kept.
pub const MAX_VERSIONS: u64 = 50;

named_enum! {
    /// Whose text a document is.
    pub enum Owner {
        /// An operator writes it. An edit of the agent is taken back.
        Operator = "operator",
        /// The agent writes it. Its edits become versions.
        Agent = "agent",
    }
}

impl Owner {
    /// The owner of a document that names none.
    pub fn default_of(path: &DocumentPath) -> Self {
        if path.is_personal() { Self::Agent } else { Self::Operator }
    }
}

/// A set of documents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DocumentSet {
    /// The documents of an agent, for all its conversations.
    Agent(AgentKey),
    /// The documents of one conversation.
    Conversation(ConversationKey),
}

/// The head of a set. It changes with every change of the set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetHead {
    /// The number of changes.
    pub revision: u64,
    /// The bytes of all documents.
    pub size_bytes: u64,
    /// The number of paths, deleted documents included.
    pub paths: u64,
    /// When the set was changed last.
    pub changed_at: Timestamp,
}

/// One state of a document, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The path.
    pub path: DocumentPath,
    /// Whose text it is.
    pub owner: Owner,
    /// Size and digest of the content; `None` if the document is deleted.
    pub content: Option<Stored>,
    /// The number of the state, from 1. It grows with every change of the document, its deletion included.
    pub version: u64,
    /// When it was changed.
    pub updated_at: Timestamp,
    /// The caller who changed it: `key:<id>`, `user:<id>` or `worker:<id>`.
    pub updated_by: String,
}

impl Document {
    /// The bytes of the content; 0 if the document is deleted.
    pub fn size_bytes(&self) -> u64 {
        self.content.as_ref().map_or(0, |content| content.size_bytes)
    }
}

/// A state of a document that a change adds, with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The state.
    pub document: Document,
    /// The text; `None` if the document is deleted.
    pub text: Option<String>,
}
