//! Inspects one conversation as it is stored, and repairs its problems one after the other.

use std::collections::BTreeSet;

use af_domain::conversation::{Conversation, Problem, RelatedState, Repair};
use af_domain::ids::{ConversationKey, MessageId, WorkerId};
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::worker::{Worker, WorkerStatus};
use af_store::conversation::{Commit, FailOutcome, StoredConversation};

use crate::outbox::apology;
use crate::pool::outcome::Outcome;
use crate::{App, AppError, Result};

/// The most reads of one conversation: one after each repair and after each change by another writer. There are fewer kinds
/// of problems.
const MAX_READS: usize = 12;

/// A problem of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundProblem {
    /// The problem in words.
    pub problem: String,
    /// Whether it is repaired.
    pub repaired: bool,
}

/// The problems of the conversation at `key`. With `repair`, they are repaired. A conversation in order has none.
pub(crate) async fn examine(
    app: &App,
    key: &ConversationKey,
    repair: bool,
    policies: &Policies,
) -> Result<Vec<FoundProblem>> {
    let mut found = Vec::new();
    let mut left = Vec::new();
    for _ in 0..MAX_READS {
        let Some((conversation, evidence)) = read(app, key, policies).await? else { return Ok(found) };
        left = conversation.problems(&evidence, app.now(), policies);
        let Some(problem) = left.first().filter(|_| repair) else { break };
        if let Commit::Done = repair_problem(app, &conversation, problem, policies).await? {
            tracing::warn!(conversation = %conversation.id, %problem, "malformed conversation repaired");
            found.push(FoundProblem { problem: problem.to_string(), repaired: true });
            left.remove(0);
        }
    }
    found.extend(left.iter().map(|p| FoundProblem { problem: p.to_string(), repaired: false }));
    Ok(found)
}

/// Repairs a conversation that seemed malformed.
pub(crate) async fn repair(app: &App, key: &ConversationKey, policies: &Policies) -> Result<Outcome> {
    let found = examine(app, key, true, policies).await?;
    Ok(match found.iter().find(|f| !f.repaired) {
        Some(left) => Outcome::Failed(left.problem.clone()),
        None if found.is_empty() => Outcome::Stale,
        None => Outcome::Done,
    })
}

/// Removes the conversation from a worker's row, if it does not name the worker as its owner.
pub(crate) async fn unassign(app: &App, id: &WorkerId) -> Result<Outcome> {
    let Some(worker) = app.store.worker_now(id).await? else { return Ok(Outcome::Stale) };
    let Some(assignment) = worker.assignment else { return Ok(Outcome::Stale) };
    let commit = app.store.unassign_if_not_owner(id, &assignment.key, app.now()).await?;
    if let Commit::Done = commit {
        tracing::warn!(worker = %id, conversation = %assignment.conversation, "a worker's row named a conversation that it does not own");
    }
    Ok(commit.into())
}

/// A conversation with the states of the worker and the messages that it names. All are of the same moment: the version of
/// the conversation is the same before and after.
async fn read(
    app: &App,
    key: &ConversationKey,
    policies: &Policies,
) -> Result<Option<(Conversation, RelatedState)>> {
    let Some(mut stored) = app.store.stored_conversation(key).await? else { return Ok(None) };
    for _ in 0..MAX_READS {
        let named = named(&stored.conversation);
        let owner = async {
            match &stored.conversation.owner {
                Some(owner) => app.store.worker_now(&owner.worker).await,
                None => Ok(None),
            }
        };
        let (owner, states) = tokio::join!(owner, app.store.message_states(&named));
        let (owner, states) = (owner?, states?);
        let over = named.into_iter().filter(|m| states.get(m) != Some(&MessageStatus::Queued)).collect();
        let evidence = evidence(&stored, owner.as_ref(), over, policies);
        let Some(again) = app.store.stored_conversation(key).await? else { return Ok(None) };
        if again.conversation.version == stored.conversation.version {
            return Ok(Some((again.conversation, evidence)));
        }
        stored = again;
    }
    Err(AppError::Overtaken("repair"))
}

/// The messages that a conversation names.
pub(crate) fn named(conversation: &Conversation) -> Vec<MessageId> {
    let running = conversation.running().into_iter();
    running.chain(conversation.queue.entries().iter().map(|e| &e.message)).cloned().collect()
}

/// The evidence about a conversation whose owner has the row `owner`.
pub(crate) fn evidence(
    stored: &StoredConversation,
    owner: Option<&Worker>,
    over: BTreeSet<MessageId>,
    policies: &Policies,
) -> RelatedState {
    let names_it = |worker: &Worker| {
        let may_work = matches!(worker.status, WorkerStatus::Active | WorkerStatus::Draining { .. });
        may_work && worker.assignment.as_ref().is_some_and(|a| a.key == stored.conversation.key)
    };
    RelatedState {
        owner_has_row: owner.is_some_and(names_it),
        ended: over,
        // A conversation with an owner must not be in any partition of the index, not even in one that is not read.
        in_ready_index: match stored.conversation.owner {
            Some(_) => stored.partition.is_some(),
            None => stored.is_in_shards(policies.queue.ready_shards),
        },
    }
}

async fn repair_problem(
    app: &App,
    before: &Conversation,
    problem: &Problem,
    policies: &Policies,
) -> Result<Commit> {
    let (store, now) = (&app.store, app.now());
    Ok(match before.repair_for(problem, now, policies) {
        Repair::Recover(cut) => match before.recover(cut, app.entropy.unit(), now, policies) {
            Some(back) => {
                let notice = apology(app, before, &back).await?;
                match store.fail_if_unchanged(before, &back, true, now, policies, notice.as_ref()).await? {
                    FailOutcome::Done => Commit::Done,
                    // The next look finds the missing message.
                    FailOutcome::Stale | FailOutcome::MessageMissing => Commit::Stale,
                }
            }
            None => Commit::Stale,
        },
        Repair::Forget { messages, after } => {
            store.forget_if_ended(before, &after, &messages, policies).await?
        }
        Repair::Free { worker, after } => {
            store.free_if_not_assigned(before, &after, &worker, policies).await?
        }
        Repair::Reindex(after) => store.repair_if_unchanged(before, &after, policies).await?,
    })
}
