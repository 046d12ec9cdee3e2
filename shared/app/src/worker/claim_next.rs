//! Claim of the next message: of the worker's own conversation, or of one without an owner.

use af_domain::conversation::{ClaimRefusal, Claimed, Conversation, ReadyKey};
use af_domain::ids::ConversationKey;
use af_domain::pool::ReadyConversation;
use af_domain::time::Timestamp;
use af_domain::worker::DrainReason;
use af_runtime::metric::Metric;
use af_store::StoreError;
use af_store::conversation::Commit;

use super::claim_request::ClaimRequest;
use super::deliver_job::{Delivered, deliver_job, load, redeliver};
use crate::conversations::hold::may_run;
use crate::conversations::repair::examine;
use crate::pool::lifecycle::drain;
use crate::settings::policies;
use crate::{App, AppError, Result};

/// Times that an owner's claim is decided again because the conversation has changed meanwhile. Enqueues change it most, and
/// one person does not enqueue five messages between a read and a write.
const MAX_OWNED_TRIES: usize = 5;
/// Times that a free worker reads the other candidates after it has lost its first one, and tries one that is still free.
/// Of the workers that read at the same time two in three win, so of 64 workers none is left after five times.
const MAX_LOOKS: usize = 5;
/// Candidates in one look. They are read in one request, and half a page is enough to find one that is free.
const MAX_LOOK_CANDIDATES: usize = 32;

/// What a worker without a conversation gets.
pub(super) enum FreeClaim {
    /// A message. The worker owns its conversation now.
    Claimed(Box<Delivered>),
    /// No conversation was free.
    Nothing,
    /// A conversation was free, but has files that the worker cannot restore.
    Skipped,
}

impl FreeClaim {
    fn of(delivered: Option<Delivered>) -> Self {
        delivered.map_or(Self::Nothing, |delivered| Self::Claimed(Box::new(delivered)))
    }
}

/// The next message of a conversation that the worker owns. The message of a lease that it holds already is delivered
/// again.
pub(super) async fn claim_owned(
    app: &App,
    request: &ClaimRequest<'_>,
    mut conversation: Conversation,
) -> Result<Option<Delivered>> {
    let policies = policies::for_agent(app, &conversation.agent).await?;
    for _ in 0..MAX_OWNED_TRIES {
        let now = app.now();
        match conversation.claim(request.worker, app.entropy.next_u64(), now, &policies) {
            Ok(claimed) => {
                if !Box::pin(may_run(app, &conversation, &policies)).await? {
                    return Ok(None);
                }
                if request.restores_at_boot && has_begun_without_files(app, request, &conversation).await? {
                    drain(app, request.worker, DrainReason::Signal, &policies).await?;
                    return Ok(None);
                }
                let commit = app.store.claim_if_owned(&conversation, &claimed, &policies);
                let (commit, loaded) = tokio::join!(commit, load(app, request, &claimed));
                if is_won(commit?, &claimed, now) {
                    return deliver_job(app, request, claimed, loaded?).await;
                }
            }
            Err(ClaimRefusal::Leased(id)) => {
                if let Some(leased) = app.store.redeliver_if_leased(&conversation.key, &id, now).await? {
                    return redeliver(app, request, leased).await;
                }
                if conversation.lease.as_ref().is_some_and(|l| l.expires_at <= now) {
                    return Ok(None);
                }
            }
            Err(ClaimRefusal::OwnedByAnother | ClaimRefusal::Draining | ClaimRefusal::NothingDue) => {
                return Ok(None);
            }
        }
        // It has changed meanwhile, or the read was out of date. When it has not changed, another try would end the same.
        match app.store.conversation(&conversation.key, true).await? {
            Some(newer) if has_changed(&conversation, &newer) => conversation = newer,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn has_changed(before: &Conversation, now: &Conversation) -> bool {
    let lease = |conversation: &Conversation| conversation.lease.as_ref().map(|lease| lease.id.clone());
    before.version != now.version || lease(before) != lease(now)
}

/// Whether the owner, which is about to claim for the first time, has not restored the files of the conversation: it
/// restores files only when it boots, and has begun without them.
async fn has_begun_without_files(
    app: &App,
    request: &ClaimRequest<'_>,
    conversation: &Conversation,
) -> Result<bool, StoreError> {
    let lacks = |conversation: &Conversation| {
        let owner = conversation.owner.as_ref().filter(|owner| &owner.worker == request.worker);
        owner.is_some_and(|owner| owner.claimed_at.is_none() && owner.restored_at.is_none())
    };
    if !lacks(conversation) {
        return Ok(false);
    }
    let key = std::slice::from_ref(&conversation.key);
    // Strongly consistent: the worker may have restored them a moment ago.
    let (now, with_files) =
        tokio::join!(app.store.conversation(&conversation.key, true), app.store.with_snapshot(key));
    Ok(now?.as_ref().is_some_and(lacks) && !with_files?.is_empty())
}

/// A message of one of these conversations, none of which has an owner; the worker becomes its owner. The first try is a
/// random one of the highest priority.
pub(super) async fn claim_ready(
    app: &App,
    request: &ClaimRequest<'_>,
    mut candidates: Vec<ReadyConversation>,
) -> Result<FreeClaim> {
    candidates.sort_by_cached_key(|c| (rank(&c.ready), app.entropy.next_u64()));
    let mut keys: Vec<ConversationKey> = candidates.into_iter().map(|c| c.key).collect();
    if keys.is_empty() {
        return Ok(FreeClaim::Nothing);
    }
    let mut outcome = match claim_unowned(app, request, &keys.remove(0)).await {
        // A conversation that cannot be read, as one of a later version, must not hide the others.
        Err(AppError::Store(StoreError::Malformed { .. })) => FreeClaim::Nothing,
        Ok(FreeClaim::Claimed(delivered)) => return Ok(FreeClaim::Claimed(delivered)),
        other => other?,
    };
    for _ in 0..MAX_LOOKS {
        if keys.is_empty() {
            break;
        }
        let batch: Vec<_> = keys.drain(..keys.len().min(MAX_LOOK_CANDIDATES)).collect();
        let found = app.store.conversations(&batch).await?;
        let Claimable { mut free, skipped } = claimable(app, request, found).await?;
        if skipped > 0 {
            outcome = FreeClaim::Skipped;
        }
        free.sort_by_cached_key(|c| (c.conversation.ready.as_ref().map(rank), app.entropy.next_u64()));
        let mut free = free.into_iter();
        let Some(Candidate { conversation, claimed }) = free.next() else { continue };
        // The rest is loaded after the commit: most workers that get here have lost one race, and may lose another.
        if is_claimed(app, &conversation, &claimed).await? {
            let loaded = load(app, request, &claimed).await?;
            return Ok(FreeClaim::of(deliver_job(app, request, claimed, loaded).await?));
        }
        keys.splice(..0, free.map(|c| c.conversation.key));
    }
    Ok(outcome)
}

/// What candidates are sorted by: the priority of one that is due, else its time.
fn rank(ready: &ReadyKey) -> String {
    ready.band().unwrap_or(ready.as_str()).to_owned()
}

/// A message of this conversation, if it has no owner; the worker becomes its owner.
pub(super) async fn claim_unowned(
    app: &App,
    request: &ClaimRequest<'_>,
    key: &ConversationKey,
) -> Result<FreeClaim> {
    let found = app.store.conversation(key, true).await?;
    let Claimable { mut free, skipped } = claimable(app, request, found.into_iter().collect()).await?;
    let Some(Candidate { conversation, claimed }) = free.pop() else {
        return Ok(if skipped > 0 { FreeClaim::Skipped } else { FreeClaim::Nothing });
    };
    let (is_claimed, loaded) =
        tokio::join!(is_claimed(app, &conversation, &claimed), load(app, request, &claimed));
    if !is_claimed? {
        return Ok(FreeClaim::Nothing);
    }
    Ok(FreeClaim::of(deliver_job(app, request, claimed, loaded?).await?))
}

/// A conversation that the worker may claim, and the claim.
struct Candidate {
    conversation: Conversation,
    claimed: Claimed,
}

/// The conversations that the worker may claim.
struct Claimable {
    free: Vec<Candidate>,
    /// How many more are free, but have files that the worker cannot restore.
    skipped: usize,
}

/// Which of these conversations the worker may claim. A conversation that is listed although nothing is due has keys that
/// are out of date. It has no owner that would repair them, so they are repaired here.
async fn claimable(app: &App, request: &ClaimRequest<'_>, found: Vec<Conversation>) -> Result<Claimable> {
    let now = app.now();
    let (mut free, mut repairs, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
    for conversation in found {
        let policies = policies::for_agent(app, &conversation.agent).await?;
        match conversation.claim(request.worker, app.entropy.next_u64(), now, &policies) {
            Ok(mut claimed) if claimed.becomes_owner => {
                if !Box::pin(may_run(app, &conversation, &policies)).await? {
                    continue;
                }
                // Others may wait, too. The worker asks for that when this conversation is quiet.
                if let Some(owner) = &mut claimed.after.owner {
                    owner.wanted_elsewhere = true;
                }
                free.push(Candidate { conversation, claimed });
            }
            Err(ClaimRefusal::NothingDue) => {
                let repaired = conversation.with_keys_repaired(now, &policies);
                repairs.extend(repaired.map(|repaired| (conversation, repaired)));
            }
            // It is listed although it is not free. Without a repair every free worker would try it.
            _ if conversation.is_indexed_by_mistake(now) => mistakes.push(conversation.key),
            _ => {}
        }
    }
    for key in &mistakes {
        Box::pin(examine(app, key, true, request.policies)).await?;
    }
    let repairs = repairs.iter().map(|(old, new)| app.store.repair_if_unchanged(old, new, request.policies));
    futures::future::try_join_all(repairs).await?;
    if request.restores_at_boot { without_files(app, free).await } else { Ok(Claimable { free, skipped: 0 }) }
}

/// The candidates that have no snapshot. The snapshots are read after the conversations: a conversation that has got one
/// since has had an owner since, so its claim fails.
async fn without_files(app: &App, mut free: Vec<Candidate>) -> Result<Claimable> {
    let keys: Vec<_> = free.iter().map(|candidate| candidate.conversation.key.clone()).collect();
    let with_files = app.store.with_snapshot(&keys).await?;
    free.retain(|candidate| !with_files.contains(&candidate.conversation.key));
    Ok(Claimable { skipped: keys.len() - free.len(), free })
}

/// Drains a free worker that was skipped. Reconcile counts it as free for the conversation that waits, and would start no
/// worker that can take it.
pub(super) async fn drain_if_skipped(
    app: &App,
    request: &ClaimRequest<'_>,
    outcome: &FreeClaim,
) -> Result<()> {
    let FreeClaim::Skipped = outcome else { return Ok(()) };
    if app.store.worker(request.worker).await?.is_some_and(|row| row.assignment.is_none()) {
        drain(app, request.worker, DrainReason::Signal, request.policies).await?;
    }
    Ok(())
}

/// Commits a claim. It fails when another worker has claimed the conversation meanwhile.
async fn is_claimed(app: &App, conversation: &Conversation, claimed: &Claimed) -> Result<bool> {
    let policies = policies::for_agent(app, &conversation.agent).await?;
    let now = app.now();
    let commit = app.store.claim_if_free(conversation, claimed, now, &policies).await?;
    Ok(is_won(commit, claimed, now))
}

/// Whether a claim was committed; it is measured.
fn is_won(commit: Commit, claimed: &Claimed, now: Timestamp) -> bool {
    let is_won = matches!(commit, Commit::Done);
    if is_won {
        Metric::ClaimWait.record(now.since(claimed.lease.entry.waits_until()).as_millis());
    } else {
        Metric::ClaimLost.count();
    }
    is_won
}
