//! Workspace documents on this worker's disk.
//!
//! ```text
//! bundle ──► fill (fingerprint) ──► place (files) ──► engine ──► collect (edits) ──► PUT /v1/worker/documents
//! ```
//!
//! Before a run, the documents of the deployment are written into the workspace folder ([`folder`]). An edit of the agent to
//! a document of the operator is taken back and reported with the message. After a run, edits of the agent to its own
//! documents are sent, so that they survive a lost machine. The file [`folder::SYNCED_FILE`] remembers which text both sides
//! had the last time; it shows who has changed a document since.

mod folder;
pub mod prompt;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use af_api::id::Id;
use af_api::worker::documents::{RunEditBody, RunEditsRequest, Workspace};
use af_api::worker::poll::Job;
use af_domain::document::Owner;
use af_domain::ids::{DocumentPath, Sha256Hex};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::config::Config;
use crate::hydration::ReceivedBundle;
use folder::{Collected, Folder};

/// Most documents of one call.
const MAX_EDITS: usize = 16;
/// Most tries of a call. The edits that could not be sent are sent after the next run.
const MAX_TRIES: usize = 4;

/// A document with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    path: DocumentPath,
    owner: Owner,
    sha256: Sha256Hex,
    text: String,
}

/// The documents of a run in the workspace folder.
#[derive(Debug, Default)]
pub struct Placed {
    /// The documents of the deployment; `None` if there is no folder, or the server sent no workspace.
    documents: Option<Arc<Vec<Text>>>,
    /// Documents of the operator in which an edit was taken back.
    put_back: Vec<String>,
}

/// The workspace folder, and the last workspace that the server sent.
pub struct Documents {
    folder: Option<Arc<Folder>>,
    known: Mutex<Option<(String, Value)>>,
}

impl Documents {
    /// Documents in the workspace folder, if there is one.
    pub fn new(config: &Config) -> Self {
        let (uid, dirs) = (config.command_uid, config.data_dir.clone().zip(config.workspace_dir.clone()));
        let folder = dirs.map(|(data_dir, dir)| Arc::new(Folder { data_dir, dir, uid }));
        Self { folder, known: Mutex::default() }
    }

    /// The fingerprint of the workspace that a poll names.
    pub fn fingerprint(&self) -> Option<String> {
        self.known().as_ref().map(|(fingerprint, _)| fingerprint.clone())
    }

    /// Completes a bundle that has only the fingerprint of the known workspace, and remembers the workspace of another one.
    pub fn fill(&self, bundle: Option<&mut ReceivedBundle>) {
        let workspace = bundle.and_then(|bundle| bundle.raw.get_mut("workspace"));
        let Some(workspace) = workspace.filter(|workspace| workspace.is_object()) else {
            return;
        };
        let Some(fingerprint) = workspace["fingerprint"].as_str().map(str::to_owned) else { return };
        let mut known = self.known();
        if workspace.get("documents").is_some() {
            *known = Some((fingerprint, workspace.clone()));
            return;
        }
        match &*known {
            Some((known, content)) if *known == fingerprint => *workspace = content.clone(),
            // The next poll then asks for all of it.
            _ => *known = None,
        }
    }

    /// Loads the documents that do not fit into the bundle.
    ///
    /// # Errors
    /// When one of them cannot be loaded.
    pub async fn load<'a>(
        &self,
        api: &Api,
        job: &Job,
        bundle: &'a ReceivedBundle,
    ) -> Result<Cow<'a, ReceivedBundle>, ApiError> {
        let documents = bundle.raw["workspace"]["documents"].as_array().map_or(&[][..], Vec::as_slice);
        let linked = |document: &Value| document.get("content").is_none();
        let missing: Vec<_> = (0..documents.len()).filter(|at| linked(&documents[*at])).collect();
        if missing.is_empty() {
            return Ok(Cow::Borrowed(bundle));
        }
        let mut bundle = bundle.clone();
        for at in missing {
            let document = &mut bundle.raw["workspace"]["documents"][at];
            let path = document["path"].as_str().unwrap_or_default().to_owned();
            let mut backoff = Backoff::new();
            let mut tries = 0;
            let content = loop {
                tries += 1;
                match api.document(job, &path).await {
                    Ok(loaded) => break loaded.content,
                    Err(error) => match error.retry_in(backoff.next()) {
                        Some(wait) if tries < MAX_TRIES => sleep(wait).await,
                        _ => return Err(error),
                    },
                }
            };
            document["content"] = json!(content.unwrap_or_default());
        }
        Ok(Cow::Owned(bundle))
    }

    /// Writes the documents of a bundle into the workspace folder.
    ///
    /// # Errors
    /// When the disk cannot be read or written.
    pub async fn place(&self, bundle: &ReceivedBundle) -> std::io::Result<Placed> {
        let Some(folder) = self.folder.clone() else { return Ok(Placed::default()) };
        let workspace = Option::<Workspace>::deserialize(&bundle.raw["workspace"]);
        let workspace = workspace.map_err(std::io::Error::other)?;
        let Some(workspace) = workspace.filter(|workspace| workspace.documents.is_some()) else {
            return Ok(Placed::default());
        };
        let since = workspace.memory_since.clone().unwrap_or_default();
        let documents = Arc::new(texts(workspace));
        let wanted = documents.clone();
        let put_back = on_disk(move || folder.place(&wanted, &since)).await?;
        report(&put_back);
        Ok(Placed { documents: Some(documents), put_back })
    }

    /// Takes edits of the operator's documents back, and sends the edits of the agent's own documents. Returns the paths in
    /// which an edit was taken back. What fails here does not fail the message: it is tried again after the next run.
    pub async fn collect(&self, api: &Api, job: &Job, placed: Placed) -> Vec<String> {
        let Placed { documents, mut put_back } = placed;
        let (Some(folder), Some(documents)) = (self.folder.clone(), documents) else { return put_back };
        let collected = on_disk({
            let folder = folder.clone();
            move || folder.collect(&documents)
        });
        let Collected { edits, put_back: edited } = match collected.await {
            Ok(collected) => collected,
            Err(error) => {
                tracing::error!(%error, "the documents of the workspace cannot be read");
                return put_back;
            }
        };
        report(&edited);
        put_back.extend(edited.into_iter().filter(|path| !put_back.contains(path)).collect::<Vec<_>>());
        for part in edits.chunks(MAX_EDITS) {
            if let Err(error) = send(api, job, part).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(message_id = job.message_id, error, "the agent's documents were not stored");
                break;
            }
            let sent: Vec<_> =
                part.iter().map(|edit| (edit.text.path.clone(), edit.text.sha256.clone())).collect();
            let folder = folder.clone();
            if let Err(error) = on_disk(move || folder.remember(sent)).await {
                tracing::error!(%error, "the state of the workspace cannot be written");
            }
        }
        put_back
    }

    fn known(&self) -> MutexGuard<'_, Option<(String, Value)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(put_back: &[String]) {
    if !put_back.is_empty() {
        tracing::warn!(paths = put_back.join(", "), "an edit of the operator's documents was taken back");
    }
}

/// All documents of a workspace. One with a path or owner of a newer server is left out.
fn texts(workspace: Workspace) -> Vec<Text> {
    let text = |path: String, owner: &str, sha256: String, text: String| {
        let path = DocumentPath::parse(path).ok()?;
        Some(Text { path, owner: Owner::parse(owner)?, sha256: Sha256Hex::parse(sha256).ok()?, text })
    };
    let documents = workspace.documents.unwrap_or_default().into_iter();
    let documents = documents.filter_map(|d| text(d.path, &d.owner, d.sha256, d.content?));
    let memory = workspace.memory_window.unwrap_or_default().into_iter();
    documents.chain(memory.filter_map(|d| text(d.path, &d.owner, d.sha256, d.content))).collect()
}

/// Sends edits until the server has accepted or refused them.
async fn send(api: &Api, job: &Job, edits: &[folder::Edit]) -> Result<(), ApiError> {
    let body = |edit: &folder::Edit| RunEditBody {
        path: Id(edit.text.path.clone()),
        content: edit.text.text.clone(),
        base_sha256: edit.base.clone().map(Id),
    };
    let request = RunEditsRequest {
        lease_id: job.lease_id.clone(),
        fence: job.fence,
        documents: edits.iter().map(body).collect(),
    };
    let mut backoff = Backoff::new();
    for _ in 1..MAX_TRIES {
        match api.put_documents(&request).await {
            Ok(answer) => {
                for document in answer.documents.iter().filter(|document| document.outcome != "stored") {
                    let (path, outcome) = (&document.path, &document.outcome);
                    tracing::info!(message_id = job.message_id, path, outcome, "a document was not changed");
                }
                return Ok(());
            }
            Err(error) => match error.retry_in(backoff.next()) {
                Some(wait) => sleep(wait).await,
                None => return Err(error),
            },
        }
    }
    api.put_documents(&request).await.map(drop)
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    spawn_blocking(work).await.map_err(std::io::Error::other).flatten()
}
