//! Looking for work: what the ready index has to offer a worker without a conversation.
//!
//! One that has just come looks at one shard by chance, and at the others when that one has nothing: under load a claim
//! so reads one shard. So does one that waits and comes to a function that has not seen it yet, but the others only when it
//! has not waited for long. One whose last poll found nothing reads the whole index in one request. Where the index is too
//! long for that, as when many messages are scheduled for later, it looks at one shard in each poll, in turn, until its
//! row says that something is due: reconcile, which reads the whole index, wakes it. So no poll that has nothing to do
//! reads more than the worker's row and one page.

use af_domain::policy::Policies;
use af_domain::pool::ReadyConversation;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::Worker;
use af_store::StoreError;

use crate::{App, AppError};

/// Entries of the ready index read from one shard. A random one among the best of them is tried first: when all
/// take the very first, 64 claimers cost each other 63 requests a claim. With a page for 64 of them to spread over,
/// two in three get what they try first, and a claim costs 6 on average where it costs 5 alone.
const READY_PAGE: i32 = 32;
/// How often a worker that was told of something looks everywhere for it: once may be too early, for the index is seen a
/// moment later by some. After that another has taken it.
const LOOKS_WHEN_WOKEN: u8 = 2;
/// How long a worker must have been without a conversation, at least, that is taken for one that waits.
const WAITS_FOR_MIN: Millis = Millis::from_secs(60);

/// A worker without a conversation whose last poll found nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idler {
    /// Since when it had been without a conversation then.
    quiet_since: Timestamp,
    /// The shard that it looked at last.
    shard: u64,
    /// What it was told of when it last looked everywhere, and how often it has done so for that.
    woken: (Option<Timestamp>, u8),
}

impl Idler {
    /// Whether it has had a conversation since, maybe by another function, or by the same poll after it had looked.
    fn has_worked_since(&self, row: &Worker) -> bool {
        row.assignment.is_some() || row.quiet_since != self.quiet_since
    }

    /// How often it has looked everywhere for what its row tells it of.
    fn looks_for(&self, row: &Worker) -> u8 {
        if self.woken.0 == row.wake_at { self.woken.1 } else { 0 }
    }
}

/// What the ready index has to offer a free worker.
pub(super) struct Offer {
    /// What the first look at it has shown.
    pub candidates: Vec<ReadyConversation>,
    /// What it left out.
    pub unseen: Unseen,
    shard: u64,
    /// What the worker was told of, and how often it has looked everywhere for that, this time included.
    woken: (Option<Timestamp>, u8),
}

/// Which shards the first look left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    None,
    AllBut(u64),
    All,
}

impl Offer {
    /// To a worker that does not look.
    pub const NONE: Self = Self { candidates: Vec::new(), unseen: Unseen::None, shard: 0, woken: (None, 0) };

    /// Whether there is nothing to try, and nothing more to look at.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.unseen == Unseen::None
    }

    /// What of it the worker with this row looks at: one that waits and is not awake at no more than it has seen, unless
    /// there is something, which others may take before, or which it may not take.
    #[must_use]
    pub fn narrowed_for(
        mut self,
        row: &Worker,
        idler: Option<&Idler>,
        policies: &Policies,
        now: Timestamp,
    ) -> Self {
        let has_yet_to_look = match idler {
            Some(idler) => idler.has_worked_since(row),
            // Another function has seen it look, if it has spoken before and has waited for so long.
            None => {
                let waits_for = policies.poll.idle_after.max(WAITS_FOR_MIN);
                row.seen_at.is_none() || row.assignment.is_some() || now.since(row.quiet_since) < waits_for
            }
        };
        let looks = idler.map_or(0, |idler| idler.looks_for(row));
        let is_awake = row.is_awake(now, policies) && looks < LOOKS_WHEN_WOKEN;
        self.woken = (row.wake_at, looks + u8::from(is_awake));
        let looks_on = !self.candidates.is_empty() || is_awake || has_yet_to_look;
        match self.unseen {
            _ if !looks_on => Self { unseen: Unseen::None, ..self },
            // The shards bring these, too, and the best first.
            Unseen::All => Self { candidates: Vec::new(), ..self },
            _ => self,
        }
    }

    /// The worker with this row, when it has found nothing in this.
    pub const fn in_vain(&self, row: &Worker) -> Idler {
        Idler { quiet_since: row.quiet_since, shard: self.shard, woken: self.woken }
    }
}

/// The first look, which does not wait for the worker's row.
pub(super) async fn offer(
    app: &App,
    idler: Option<&Idler>,
    policies: &Policies,
) -> Result<Offer, StoreError> {
    let (now, shards) = (app.now(), policies.queue.ready_shards);
    let shard = match idler {
        None => app.entropy.below(usize::try_from(shards).unwrap_or(1)) as u64,
        Some(idler) if app.long_index.get(&(), now).is_some() => (idler.shard + 1) % shards,
        Some(idler) => {
            let (candidates, is_all) = app.store.ready_at_a_glance(now, READY_PAGE).await?;
            if !is_all {
                app.long_index.put((), (), now);
            }
            let unseen = if is_all { Unseen::None } else { Unseen::All };
            return Ok(Offer { candidates, unseen, shard: idler.shard, woken: idler.woken });
        }
    };
    let woken = idler.map_or((None, 0), |idler| idler.woken);
    Ok(Offer { candidates: ready(app, &[shard]).await?, unseen: Unseen::AllBut(shard), shard, woken })
}

/// What the shards have to offer that the first look left out.
pub(super) async fn others(
    app: &App,
    unseen: Unseen,
    policies: &Policies,
) -> Result<Vec<ReadyConversation>, StoreError> {
    let shards = 0..policies.queue.ready_shards;
    let others: Vec<_> = match unseen {
        Unseen::None => return Ok(Vec::new()),
        Unseen::AllBut(seen) => shards.filter(|shard| *shard != seen).collect(),
        Unseen::All => shards.collect(),
    };
    ready(app, &others).await
}

/// What these shards of the ready index have to offer now.
async fn ready(app: &App, shards: &[u64]) -> Result<Vec<ReadyConversation>, StoreError> {
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
