//! The workspace in a hydration bundle.
//!
//! The heads of both sets and the day make its fingerprint. A worker that names the fingerprint has the workspace, and no
//! document is read. The heads are read before the documents: if a set changes in between, the next bundle has another
//! fingerprint.

use std::collections::HashMap;

use af_domain::document::{Delivery, DocumentSet, Fingerprint, Placed, SetHead, Version, Workspace, compile};
use af_domain::ids::{AgentKey, ConversationKey, DocumentPath, MessageId, WorkerId};
use af_domain::policy::HydrationPolicy;
use af_domain::refusal::Refusal;
use af_store::StoreError;
use af_store::document::Wanted;

use crate::{App, Result};

/// What a worker wants of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WorkspaceWanted {
    /// Nothing: published images keep their own files.
    #[default]
    Nothing,
    /// All of it.
    Everything,
    /// All of it, unless it has this fingerprint.
    UnlessFingerprint(String),
}

/// A workspace for a worker.
#[derive(Debug, Clone)]
pub struct HydratedWorkspace {
    /// The fingerprint.
    pub fingerprint: String,
    /// The documents; `None` if the worker has them.
    pub content: Option<WorkspaceContent>,
}

/// The documents of a workspace.
#[derive(Debug, Clone)]
pub struct WorkspaceContent {
    /// All documents except the memory of days, by path.
    pub documents: Vec<HydratedDocument>,
    /// The memory of the last days, the newest day first. Each has its text.
    pub memory_window: Vec<HydratedDocument>,
    /// The first day that the window covers.
    pub memory_since: String,
}

/// A document of a workspace.
#[derive(Debug, Clone)]
pub struct HydratedDocument {
    /// The document.
    pub placed: Placed,
    /// Its text; `None` if it does not fit into the bundle.
    pub text: Option<String>,
}

/// The head of the agent's set, if the worker wants the workspace.
pub(crate) async fn agent_head(
    app: &App,
    agent: &AgentKey,
    wanted: &WorkspaceWanted,
) -> Result<Option<SetHead>, StoreError> {
    match wanted {
        WorkspaceWanted::Nothing => Ok(None),
        WorkspaceWanted::Everything | WorkspaceWanted::UnlessFingerprint(_) => {
            app.store.documents_head(&DocumentSet::Agent(agent.clone())).await.map(Some)
        }
    }
}

/// The workspace of a conversation. Its documents are read only if the worker does not have them.
pub(crate) async fn hydrate(
    app: &App,
    agent: (&AgentKey, &SetHead),
    conversation: (&ConversationKey, &SetHead),
    wanted: &WorkspaceWanted,
    limits: &HydrationPolicy,
) -> Result<HydratedWorkspace> {
    let now = app.now();
    let fingerprint = Fingerprint {
        agent: agent.0,
        agent_head: agent.1,
        conversation: conversation.0,
        conversation_head: conversation.1,
        limits,
        now,
    };
    let fingerprint = fingerprint.text();
    if matches!(wanted, WorkspaceWanted::UnlessFingerprint(known) if *known == fingerprint) {
        return Ok(HydratedWorkspace { fingerprint, content: None });
    }
    let sets = (DocumentSet::Agent(agent.0.clone()), DocumentSet::Conversation(conversation.0.clone()));
    // A set that was never changed has no documents.
    let read = async |set: &DocumentSet, head: &SetHead| match head.revision {
        0 => Ok(Vec::new()),
        _ => app.store.documents(set).await,
    };
    let (of_agent, of_conversation) =
        tokio::try_join!(read(&sets.0, agent.1), read(&sets.1, conversation.1))?;
    let workspace = compile((agent.0, of_agent), (conversation.0, of_conversation), limits, now);
    Ok(HydratedWorkspace { fingerprint, content: Some(with_texts(app, workspace).await?) })
}

async fn with_texts(app: &App, workspace: Workspace) -> Result<WorkspaceContent> {
    let Workspace { documents, memory_window, memory_since } = workspace;
    let included = documents.iter().filter(|(_, delivery)| *delivery == Delivery::Content);
    let included = included.map(|(placed, _)| placed).chain(&memory_window);
    let wanted: Vec<_> = included.map(|Placed { document, set }| Wanted { set, document }).collect();
    let found = app.store.document_texts(&wanted).await?.into_iter();
    // The paths of a workspace differ.
    let mut texts: HashMap<DocumentPath, Version> =
        found.map(|version| (version.document.path.clone(), version)).collect();
    let mut hydrated = |placed: Placed| {
        let text = texts.remove(&placed.document.path).and_then(|version| version.text);
        HydratedDocument { placed, text }
    };
    Ok(WorkspaceContent {
        documents: documents.into_iter().map(|(placed, _)| hydrated(placed)).collect(),
        memory_window: memory_window.into_iter().map(&mut hydrated).filter(|d| d.text.is_some()).collect(),
        memory_since,
    })
}

/// Returns a document of the workspace of a running message, with its text.
///
/// # Errors
/// 404 unless `worker` runs the message, and its workspace has the document.
pub async fn of_run(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    path: &DocumentPath,
) -> Result<Version> {
    let missing =
        || Refusal::not_found(format!("document {path} of message {message} that this worker runs"));
    let message = app.store.message(message, app.now(), true).await?.ok_or_else(missing)?;
    let conversation = app.store.conversation(&message.key, true).await?.ok_or_else(missing)?;
    let lease = conversation.lease.as_ref().filter(|lease| lease.worker == *worker);
    lease.filter(|lease| lease.entry.message == message.id).ok_or_else(missing)?;
    let own = path.is_personal().then_some(DocumentSet::Conversation(message.key));
    for set in own.into_iter().chain([DocumentSet::Agent(conversation.agent)]) {
        let current = app.store.document(&set, path).await?.filter(|current| current.content.is_some());
        if let Some(current) = current {
            let found = app.store.document_version(&set, path, current.version).await?;
            return Ok(found.ok_or_else(missing)?);
        }
    }
    Err(missing().into())
}
