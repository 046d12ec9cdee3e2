//! Claiming: the owner's next message, or a conversation that nobody owns.

use af_domain::conversation::{ClaimRefusal, Claimed, Conversation};
use af_domain::ids::{ConversationKey, HistoryCursor, WorkerId};
use af_domain::message::Message;
use af_domain::policy::Policies;
use af_domain::pool::ReadyConversation;
use af_store::StoreError;
use af_store::conversation::Commit;

use crate::hydrate::{Bundle, Context, Job, bundle, context};
use crate::{App, AppError};

/// Times an owner's claim is decided anew when others change the conversation meanwhile.
const OWNED_TRIES_MAX: usize = 5;
/// Candidates that a free worker tries in one poll. Each lost race costs up to three requests; the next poll
/// comes in a second.
const CANDIDATES_MAX: usize = 6;
/// Entries of the ready index read from one shard. A random one among the best of them is tried first: when all
/// take the very first, 64 claimers cost each other 63 requests a claim, and so they cost 5.
const READY_PAGE: i32 = 32;

/// Who claims, and what comes with the message.
pub(super) struct Wanted<'a> {
    pub worker: &'a WorkerId,
    pub hydrate: bool,
    pub since: Option<&'a HistoryCursor>,
    pub policies: &'a Policies,
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
                let commit = app.store.claim_if_owned(&conversation, &claimed, wanted.policies);
                let (commit, loaded) = tokio::join!(commit, load(app, wanted, &claimed));
                if let Commit::Done = commit? {
                    return hand_over(app, claimed, loaded?).await.map(Some);
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

/// In which order a free worker asks the shards of the ready index.
pub(super) struct Shards {
    /// Those it asks at once.
    pub first: Vec<u64>,
    /// Those it asks, at once, when the first had nothing.
    others: Vec<u64>,
}

impl Shards {
    /// One by chance and then the others; all of them, when the worker's last poll found nothing in any. Under load a
    /// claim so reads one shard, and a worker that waits for work waits one round for its answer.
    pub fn to_ask(app: &App, wanted: &Wanted<'_>) -> Self {
        let all = 0..wanted.policies.queue.ready_shards;
        if app.idlers.get(wanted.worker, app.now()).is_some() {
            return Self { first: all.collect(), others: Vec::new() };
        }
        let chosen = app.entropy.below(usize::try_from(all.end).unwrap_or(1)) as u64;
        Self { first: vec![chosen], others: all.filter(|s| *s != chosen).collect() }
    }
}

/// What these shards of the ready index have to offer now.
pub(super) async fn ready(app: &App, shards: &[u64]) -> Result<Vec<ReadyConversation>, StoreError> {
    let now = app.now();
    let pages = shards.iter().map(|s| app.store.ready_page(*s, now, READY_PAGE, None));
    let pages = futures::future::try_join_all(pages).await?;
    Ok(pages.into_iter().flat_map(|(found, _)| found).collect())
}

/// Whether a conversation waits that nobody owns: one read of each shard.
pub(super) async fn somebody_waits(app: &App, policies: &Policies) -> Result<bool, AppError> {
    let now = app.now();
    let shards = (0..policies.queue.ready_shards).map(|s| app.store.ready_page(s, now, 1, None));
    let pages = futures::future::try_join_all(shards).await?;
    Ok(pages.iter().any(|(found, _)| !found.is_empty()))
}

/// A message of a conversation that nobody owns; the worker becomes its owner. `candidates` is what the first shards
/// had; the others are asked only when that was nothing.
pub(super) async fn free(
    app: &App,
    wanted: &Wanted<'_>,
    shards: &Shards,
    candidates: Vec<ReadyConversation>,
) -> Result<Option<Claim>, AppError> {
    if !candidates.is_empty() {
        return try_candidates(app, wanted, candidates).await;
    }
    try_candidates(app, wanted, ready(app, &shards.others).await?).await
}

async fn try_candidates(
    app: &App,
    wanted: &Wanted<'_>,
    mut candidates: Vec<ReadyConversation>,
) -> Result<Option<Claim>, AppError> {
    candidates.sort_by(|a, b| a.ready.cmp(&b.ready));
    for _ in 0..CANDIDATES_MAX.min(candidates.len()) {
        let best = candidates[0].ready.band().map(str::to_owned);
        let band = candidates.iter().take_while(|c| c.ready.band() == best.as_deref()).count();
        let candidate = candidates.remove(app.entropy.below(band));
        if let Some(claim) = try_candidate(app, wanted, &candidate.key).await? {
            return Ok(Some(claim));
        }
    }
    Ok(None)
}

async fn try_candidate(
    app: &App,
    wanted: &Wanted<'_>,
    key: &ConversationKey,
) -> Result<Option<Claim>, AppError> {
    let now = app.now();
    let Some(conversation) = app.store.conversation(key, true).await? else { return Ok(None) };
    match conversation.claim(wanted.worker, app.entropy.next_u64(), now, wanted.policies) {
        Ok(mut claimed) if claimed.becomes_owner => {
            // Where one waited, others may: asked when this conversation is quiet, when it is known for sure.
            if let Some(owner) = &mut claimed.after.owner {
                owner.wanted_elsewhere = true;
            }
            let commit = app.store.claim_if_free(&conversation, &claimed, now, wanted.policies);
            let (commit, loaded) = tokio::join!(commit, load(app, wanted, &claimed));
            match commit? {
                Commit::Done => hand_over(app, claimed, loaded?).await.map(Some),
                Commit::Stale => Ok(None),
            }
        }
        Err(ClaimRefusal::NothingDue) => {
            // Listed although nothing is due: its keys are out of date. Nobody owns it, so nobody else repairs them.
            if let Some(repaired) = conversation.with_keys_repaired(now, wanted.policies) {
                app.store.repair_if_unchanged(&conversation, &repaired, wanted.policies).await?;
            }
            Ok(None)
        }
        _ => Ok(None),
    }
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
    hand_over(app, claimed, loaded).await.map(Some)
}

async fn hand_over(app: &App, claimed: Claimed, loaded: Loaded) -> Result<Claim, AppError> {
    let id = &claimed.lease.entry.message;
    let message = match loaded.message {
        Some(message) => message,
        // The replica that was asked did not have it yet; the claim shows that it exists.
        None => app.store.message(id, app.now(), true).await?.ok_or_else(|| missing(id.as_str()))?,
    };
    let bundle = match loaded.context {
        Some(context) => Some(bundle(app, &message, context).await?),
        None => None,
    };
    let job = Job { lease: claimed.lease, conversation: claimed.after, payload: message.payload };
    Ok((job, bundle))
}

fn missing(message: &str) -> AppError {
    StoreError::Malformed {
        key: message.to_owned(),
        problem: "a conversation names this message, but it does not exist".to_owned(),
    }
    .into()
}
