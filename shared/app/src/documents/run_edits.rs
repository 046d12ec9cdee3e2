//! The edits that an agent made to its documents during a run.

use std::collections::{BTreeMap, BTreeSet};

use af_domain::document::{
    Change, Document, DocumentSet, RunEdit, RunEditResult, SetHead, Version, apply_run_edit,
};
use af_domain::ids::{AgentKey, ConversationKey, DocumentPath, LeaseId, WorkerId};
use af_domain::named_enum;
use af_domain::refusal::Refusal;
use af_store::conversation::LeaseRef;
use af_store::document::{ChangedUnderLease, Wanted};

use super::MAX_CHANGE_TRIES;
use crate::error::stale_lease;
use crate::{App, AppError, Result};

/// Most edits of one call. Each takes up to five of the 100 writes of a transaction.
pub const MAX_RUN_EDITS: usize = 16;

named_enum! {
    /// The outcome of an edit of a run.
    pub enum RunEditOutcome {
        /// The text is stored.
        Stored = "stored",
        /// The document already has this text.
        Unchanged = "unchanged",
        /// The document was changed during the run. It stays, and the text of the agent is a version before it.
        Conflict = "conflict",
        /// An operator owns the document, so the text is not stored.
        OperatorOwned = "operatorOwned",
    }
}

/// Stores the edits of a run in the documents of its conversation, all in one step, and returns their outcomes in order.
///
/// # Errors
/// 409 if the lease is not in force; 413 or 422 with the edit that breaks a limit. Nothing is written then.
pub async fn store_run_edits(
    app: &App,
    worker: &WorkerId,
    lease: &LeaseId,
    edits: &[RunEdit],
) -> Result<Vec<RunEditOutcome>> {
    check(edits)?;
    let key = lease.parts().conversation;
    let conversation = app.store.conversation(&key, true).await?.ok_or_else(stale_lease)?;
    let holds = conversation.lease.as_ref().is_some_and(|held| held.id == *lease && held.worker == *worker);
    if !holds {
        return Err(stale_lease());
    }
    for _ in 0..MAX_CHANGE_TRIES {
        let state = State::read(app, &conversation.agent, &key, edits).await?;
        let results = state.decide(edits, worker, app)?;
        let changes: Vec<Change> = results.iter().filter_map(change_of).cloned().collect();
        if changes.is_empty() {
            return Ok(results.iter().map(outcome).collect());
        }
        let held = LeaseRef { lease, message: None, worker };
        match app.store.change_documents_if_leased(&held, &key, &state.head, &changes).await? {
            ChangedUnderLease::Done => {
                let outcomes: Vec<_> = results.iter().map(outcome).collect();
                for (edit, outcome) in edits.iter().zip(&outcomes) {
                    let (path, outcome) = (edit.path.as_str(), outcome.as_str());
                    tracing::info!(worker_id = worker.as_str(), path, outcome, "document edited in a run");
                }
                return Ok(outcomes);
            }
            ChangedUnderLease::LeaseLost => return Err(stale_lease()),
            ChangedUnderLease::Stale => {}
        }
    }
    Err(AppError::Overtaken("the edits of a run"))
}

fn check(edits: &[RunEdit]) -> Result<(), Refusal> {
    if edits.len() > MAX_RUN_EDITS {
        let detail = format!("at most {MAX_RUN_EDITS} documents fit into one call");
        return Err(Refusal::field("/documents", detail));
    }
    let mut seen = BTreeSet::new();
    match edits.iter().position(|edit| !seen.insert(&edit.path)) {
        Some(at) => {
            let detail = format!("path must differ from the others, but {} appears twice", edits[at].path);
            Err(Refusal::field(format!("/documents/{at}/path"), detail))
        }
        None => Ok(()),
    }
}

/// The stored state that a decision is based on.
struct State {
    head: SetHead,
    own: BTreeMap<DocumentPath, Version>,
    inherited: BTreeMap<DocumentPath, Document>,
}

impl State {
    async fn read(app: &App, agent: &AgentKey, key: &ConversationKey, edits: &[RunEdit]) -> Result<Self> {
        let (own_set, agent_set) =
            (DocumentSet::Conversation(key.clone()), DocumentSet::Agent(agent.clone()));
        // The head comes first: a change between the reads then makes the commit stale.
        let head = app.store.documents_head(&own_set).await?;
        let (own, inherited) =
            tokio::try_join!(app.store.documents(&own_set), app.store.documents(&agent_set))?;
        let by_path = |documents: Vec<Document>| -> BTreeMap<_, _> {
            documents.into_iter().map(|document| (document.path.clone(), document)).collect()
        };
        let (own, inherited) = (by_path(own), by_path(inherited));
        // A document that was changed during the run is written again behind the agent's text.
        let is_other = |document: &Document, edit: &RunEdit| {
            document.content.as_ref().is_some_and(|content| Some(&content.sha256) != edit.base.as_ref())
        };
        let wanted: Vec<_> = edits
            .iter()
            .filter_map(|edit| own.get(&edit.path).filter(|document| is_other(document, edit)))
            .map(|document| Wanted { set: &own_set, document })
            .collect();
        let texts = app.store.document_texts(&wanted).await?;
        let mut texts: BTreeMap<_, _> =
            texts.into_iter().map(|version| (version.document.path.clone(), version.text)).collect();
        let own = own.into_iter().map(|(path, document)| {
            let text = texts.remove(&path).flatten();
            (path, Version { document, text })
        });
        Ok(Self { head, own: own.collect(), inherited })
    }

    fn decide(&self, edits: &[RunEdit], worker: &WorkerId, app: &App) -> Result<Vec<RunEditResult>, Refusal> {
        let (mut head, by, now) = (self.head, format!("worker:{worker}"), app.now());
        let mut results = Vec::with_capacity(edits.len());
        for (at, edit) in edits.iter().enumerate() {
            let (own, inherited) = (self.own.get(&edit.path), self.inherited.get(&edit.path));
            let pointer = format!("/documents/{at}/content");
            let result = apply_run_edit(&head, own, inherited, edit.clone(), &pointer, &by, now)?;
            head = change_of(&result).map_or(head, |change| change.head);
            results.push(result);
        }
        Ok(results)
    }
}

const fn change_of(result: &RunEditResult) -> Option<&Change> {
    match result {
        RunEditResult::Stored(change) | RunEditResult::Conflict(change) => Some(change),
        RunEditResult::Unchanged | RunEditResult::OperatorOwned => None,
    }
}

const fn outcome(result: &RunEditResult) -> RunEditOutcome {
    match result {
        RunEditResult::Stored(_) => RunEditOutcome::Stored,
        RunEditResult::Unchanged => RunEditOutcome::Unchanged,
        RunEditResult::Conflict(_) => RunEditOutcome::Conflict,
        RunEditResult::OperatorOwned => RunEditOutcome::OperatorOwned,
    }
}
