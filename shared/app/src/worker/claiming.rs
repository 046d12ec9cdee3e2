//! Claiming: the owner's next message, or a conversation that nobody owns.

use std::sync::atomic::{AtomicBool, Ordering};

use af_domain::conversation::{ClaimRefusal, Claimed, Conversation, ReadyKey};
use af_domain::ids::{ConversationKey, HistoryCursor, WorkerId};
use af_domain::message::Message;
use af_domain::policy::Policies;
use af_domain::pool::ReadyConversation;
use af_domain::worker::DrainReason;
use af_store::StoreError;
use af_store::conversation::Commit;

use super::looking::{Offer, others};
use crate::conversations::repair::examine;
use crate::pool::lifecycle::drain;
use crate::settings::message_config;
use crate::worker::bundle::{Bundle, Context, Job, bundle, context};
use crate::{App, AppError};

/// Times an owner's claim is decided anew when others change the conversation meanwhile.
const OWNED_TRIES_MAX: usize = 5;
/// Times that a free worker whose first candidate was taken looks at the others, and tries one that is free still. Of
/// those who look at the same time two in three win; of 64, none is left after five.
const LOOKS_MAX: usize = 5;
/// Candidates in one look: a page, in one request.
const LOOK_CANDIDATES_MAX: usize = 32;

/// Who claims, and what comes with the message.
pub(super) struct Wanted<'a> {
    pub worker: &'a WorkerId,
    pub hydrate: bool,
    pub since: Option<&'a HistoryCursor>,
    pub policies: &'a Policies,
    /// Whether it restores files only when it boots: what it begins without, it would overwrite when it leaves.
    pub restores_at_boot: bool,
    /// Whether a conversation was not given to it for that.
    pub passed_over: AtomicBool,
}

impl<'a> Wanted<'a> {
    /// A message for `worker`, and nothing with it.
    pub const fn by(worker: &'a WorkerId, policies: &'a Policies) -> Self {
        let passed_over = AtomicBool::new(false);
        Self { worker, hydrate: false, since: None, policies, restores_at_boot: false, passed_over }
    }

    /// The same under these policies.
    pub fn under(&self, policies: &'a Policies) -> Self {
        let passed_over = AtomicBool::new(self.passed_over.load(Ordering::Relaxed));
        Self { policies, passed_over, ..*self }
    }
}

type Claim = (Job, Option<Bundle>);

/// The next message of a conversation that the worker owns. A lease that it holds already is answered again.
pub(super) async fn owned(
    app: &App,
    wanted: &Wanted<'_>,
    mut conversation: Conversation,
) -> Result<Option<Claim>, AppError> {
    for _ in 0..OWNED_TRIES_MAX {
        let now = app.now();
        match conversation.claim(wanted.worker, app.entropy.next_u64(), now, wanted.policies) {
            Ok(claimed) => {
                if wanted.restores_at_boot && has_begun_without_files(app, wanted, &conversation).await? {
                    drain(app, wanted.worker, DrainReason::Signal, wanted.policies).await?;
                    return Ok(None);
                }
                let commit = app.store.claim_if_owned(&conversation, &claimed, wanted.policies);
                let (commit, loaded) = tokio::join!(commit, load(app, wanted, &claimed));
                if let Commit::Done = commit? {
                    return hand_over(app, wanted, claimed, loaded?).await;
                }
            }
            Err(ClaimRefusal::Leased(id)) => {
                if let Some(held) = app.store.redeliver_if_leased(&conversation.key, &id, now).await? {
                    return again(app, wanted, held).await;
                }
                if conversation.lease.as_ref().is_some_and(|l| l.expires_at <= now) {
                    return Ok(None);
                }
            }
            Err(ClaimRefusal::OwnedByAnother | ClaimRefusal::Draining | ClaimRefusal::NothingDue) => {
                return Ok(None);
            }
        }
        // Others changed it meanwhile, or what was read was out of date.
        match app.store.conversation(&conversation.key, true).await? {
            Some(newer)
                if newer.lease.as_ref().map(|l| &l.id) != conversation.lease.as_ref().map(|l| &l.id) =>
            {
                conversation = newer;
            }
            Some(newer) if newer.version != conversation.version => conversation = newer,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Whether the owner, about to claim for the first time, has not fetched the files that there are: it could not, and began
/// without them.
async fn has_begun_without_files(
    app: &App,
    wanted: &Wanted<'_>,
    conversation: &Conversation,
) -> Result<bool, StoreError> {
    let lacks = |conversation: &Conversation| {
        let owner = conversation.owner.as_ref().filter(|owner| &owner.worker == wanted.worker);
        owner.is_some_and(|owner| owner.claimed_at.is_none() && owner.restored_at.is_none())
    };
    if !lacks(conversation) {
        return Ok(false);
    }
    let key = std::slice::from_ref(&conversation.key);
    // Strongly: it may have fetched them a moment ago.
    let (now, kept) =
        tokio::join!(app.store.conversation(&conversation.key, true), app.store.with_snapshot(key));
    Ok(now?.as_ref().is_some_and(lacks) && !kept?.is_empty())
}

/// A message of a conversation that nobody owns; the worker becomes its owner. What the first look left out is looked at
/// only when that had nothing to win.
pub(super) async fn free(app: &App, wanted: &Wanted<'_>, offer: Offer) -> Result<Option<Claim>, AppError> {
    let Offer { candidates, unseen, .. } = offer;
    if let Some(claim) = one_of(app, wanted, candidates).await? {
        return Ok(Some(claim));
    }
    one_of(app, wanted, others(app, unseen, wanted.policies).await?).await
}

/// One of these conversations: of the highest priority that has any, any.
async fn one_of(
    app: &App,
    wanted: &Wanted<'_>,
    mut candidates: Vec<ReadyConversation>,
) -> Result<Option<Claim>, AppError> {
    let rank = |ready: &ReadyKey| ready.band().unwrap_or(ready.as_str()).to_owned();
    candidates.sort_by_cached_key(|c| (rank(&c.ready), app.entropy.next_u64()));
    let mut keys: Vec<ConversationKey> = candidates.into_iter().map(|c| c.key).collect();
    if keys.is_empty() {
        return Ok(None);
    }
    match unowned(app, wanted, &keys.remove(0)).await {
        // One that cannot be read, as of a later version, must keep no other waiting.
        Err(AppError::Store(StoreError::Malformed { .. })) | Ok(None) => {}
        claim => return claim,
    }
    for _ in 0..LOOKS_MAX {
        if keys.is_empty() {
            break;
        }
        let looked_at: Vec<_> = keys.drain(..keys.len().min(LOOK_CANDIDATES_MAX)).collect();
        let found = app.store.conversations(&looked_at).await?;
        let mut free = claimable(app, wanted, found).await?;
        free.sort_by_cached_key(|(c, _)| (c.ready.as_ref().map(rank), app.entropy.next_u64()));
        let mut free = free.into_iter();
        let Some((conversation, claimed)) = free.next() else { continue };
        // What comes with the message is read once it is won: most who are here have lost a race, and may again.
        if take(app, wanted, &conversation, &claimed).await? {
            let loaded = load(app, wanted, &claimed).await?;
            return hand_over(app, wanted, claimed, loaded).await;
        }
        keys.splice(..0, free.map(|(c, _)| c.key));
    }
    Ok(None)
}

/// A message of this conversation, if nobody owns it; the worker becomes its owner.
pub(super) async fn unowned(
    app: &App,
    wanted: &Wanted<'_>,
    key: &ConversationKey,
) -> Result<Option<Claim>, AppError> {
    let found = app.store.conversation(key, true).await?;
    let Some((conversation, claimed)) = claimable(app, wanted, found.into_iter().collect()).await?.pop()
    else {
        return Ok(None);
    };
    let (taken, loaded) =
        tokio::join!(take(app, wanted, &conversation, &claimed), load(app, wanted, &claimed));
    if taken? { hand_over(app, wanted, claimed, loaded?).await } else { Ok(None) }
}

/// Those that may be claimed, each with its claim. One that is listed although nothing is due has keys that are out
/// of date; nobody owns it, so nobody else repairs them.
async fn claimable(
    app: &App,
    wanted: &Wanted<'_>,
    found: Vec<Conversation>,
) -> Result<Vec<(Conversation, Claimed)>, AppError> {
    let (now, policies) = (app.now(), wanted.policies);
    let (mut free, mut repairs, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
    for conversation in found {
        match conversation.claim(wanted.worker, app.entropy.next_u64(), now, policies) {
            Ok(mut claimed) if claimed.becomes_owner => {
                // Where one waited, others may: asked when this conversation is quiet, when it is known for sure.
                if let Some(owner) = &mut claimed.after.owner {
                    owner.wanted_elsewhere = true;
                }
                free.push((conversation, claimed));
            }
            Err(ClaimRefusal::NothingDue) => {
                let repaired = conversation.with_keys_repaired(now, policies);
                repairs.extend(repaired.map(|repaired| (conversation, repaired)));
            }
            // Listed although it is not free: every free worker would try it in vain.
            _ if conversation.is_indexed_by_mistake(now) => mistakes.push(conversation.key),
            _ => {}
        }
    }
    for key in &mistakes {
        Box::pin(examine(app, key, true, policies)).await?;
    }
    let repairs = repairs.iter().map(|(old, new)| app.store.repair_if_unchanged(old, new, policies));
    futures::future::try_join_all(repairs).await?;
    if wanted.restores_at_boot { without_files(app, wanted, free).await } else { Ok(free) }
}

/// Those that have no snapshot. Read after the conversations: one that has got a snapshot since has had an owner since,
/// and its claim fails.
async fn without_files(
    app: &App,
    wanted: &Wanted<'_>,
    mut free: Vec<(Conversation, Claimed)>,
) -> Result<Vec<(Conversation, Claimed)>, AppError> {
    let keys: Vec<_> = free.iter().map(|(conversation, _)| conversation.key.clone()).collect();
    let kept = app.store.with_snapshot(&keys).await?;
    free.retain(|(conversation, _)| !kept.contains(&conversation.key));
    if free.len() < keys.len() {
        wanted.passed_over.store(true, Ordering::Relaxed);
    }
    Ok(free)
}

/// Lets a free worker leave that was passed over: whoever plans the pool counts it as free for what waits, and would
/// start none that can take it.
pub(super) async fn make_way(app: &App, wanted: &Wanted<'_>) -> Result<(), AppError> {
    if !wanted.passed_over.load(Ordering::Relaxed) {
        return Ok(());
    }
    if app.store.worker(wanted.worker).await?.is_some_and(|row| row.assignment.is_none()) {
        drain(app, wanted.worker, DrainReason::Signal, wanted.policies).await?;
    }
    Ok(())
}

/// Commits a claim; `false` when somebody was faster.
async fn take(
    app: &App,
    wanted: &Wanted<'_>,
    conversation: &Conversation,
    claimed: &Claimed,
) -> Result<bool, StoreError> {
    let commit = app.store.claim_if_free(conversation, claimed, app.now(), wanted.policies).await?;
    Ok(matches!(commit, Commit::Done))
}

/// What a worker needs besides the lease; read while the claim is being committed.
struct Loaded {
    message: Option<Message>,
    context: Option<Context>,
}

async fn load(app: &App, wanted: &Wanted<'_>, claimed: &Claimed) -> Result<Loaded, AppError> {
    let context = async {
        if !wanted.hydrate {
            return Ok(None);
        }
        // On the heap: every way to a claim holds a place for it.
        let context = Box::pin(context(app, &claimed.after.key, wanted.since, wanted.policies));
        context.await.map(Some)
    };
    let message = app.store.message(&claimed.lease.entry.message, app.now(), false);
    let (message, context) = tokio::join!(message, context);
    Ok(Loaded { message: message?, context: context? })
}

/// A lease that the worker holds already, answered again.
async fn again(
    app: &App,
    wanted: &Wanted<'_>,
    conversation: Conversation,
) -> Result<Option<Claim>, AppError> {
    let Some(lease) = conversation.lease.clone() else { return Ok(None) };
    let claimed = Claimed { after: conversation, lease, becomes_owner: false };
    let loaded = load(app, wanted, &claimed).await?;
    hand_over(app, wanted, claimed, loaded).await
}

async fn hand_over(
    app: &App,
    wanted: &Wanted<'_>,
    claimed: Claimed,
    loaded: Loaded,
) -> Result<Option<Claim>, AppError> {
    let message = match loaded.message {
        Some(message) if message.fetched_by.is_none() => Some(message),
        // The replica that was asked did not have it yet, or not what became of its attachments.
        _ => app.store.message(&claimed.lease.entry.message, app.now(), true).await?,
    };
    let Some(message) = message else {
        // It does not exist: the conversation forgets it, and the next poll brings what waits behind.
        Box::pin(examine(app, &claimed.after.key, true, wanted.policies)).await?;
        return Ok(None);
    };
    let bundle = match loaded.context {
        Some(context) => Some(bundle(app, &message, context).await?),
        None => None,
    };
    let payload = message_config::in_force(app).await?.with_prompt(message.payload);
    let job = Job { lease: claimed.lease, conversation: claimed.after, payload };
    Ok(Some((job, bundle)))
}
