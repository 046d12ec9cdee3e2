//! Conversations that wait for a worker: what the ready index names, without what cannot be read.

use std::collections::BTreeMap;

use af_domain::conversation::Conversation;
use af_domain::ids::ConversationKey;
use af_domain::policy::Policies;
use af_domain::pool::{ReadyConversation, SPAWN_AHEAD};
use af_store::StoreError;

use crate::{App, AppError};

/// Entries of one page of a shard: far below the 1 MB that end a page anyway.
const READY_PAGE: i32 = 2_000;
/// Pages of one shard looked at: 10 000 conversations are ten times what the largest pool serves.
const READY_PAGES_MAX: usize = 5;
/// Conversations read at once, once one of the first cannot be: what one request takes.
const READ_AT_ONCE: usize = 100;
/// Such reads in one run. Behind five hundred that cannot be read, none is looked for.
const READS_MAX: usize = 5;

/// Conversations as they were read.
pub(super) type Read = BTreeMap<ConversationKey, Result<Conversation, StoreError>>;

/// What the ready index holds, up to `SPAWN_AHEAD` from now, those first that have waited longest.
pub(super) async fn listed(app: &App, policies: &Policies) -> Result<Vec<ReadyConversation>, AppError> {
    let shards = (0..policies.queue.ready_shards).map(|number| shard(app, number));
    let shards = futures::future::try_join_all(shards).await?;
    let mut waiting: Vec<_> = shards.into_iter().flatten().collect();
    waiting.sort_by(|a, b| (a.ready.time(), &a.key).cmp(&(b.ready.time(), &b.key)));
    Ok(waiting)
}

async fn shard(app: &App, number: u64) -> Result<Vec<ReadyConversation>, AppError> {
    let until = app.now() + SPAWN_AHEAD;
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..READY_PAGES_MAX {
        let (page, next) = app.store.ready_page(number, until, READY_PAGE, after).await?;
        found.extend(page);
        after = next;
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}

/// The first of them, for which workers are started.
pub(super) fn first(waiting: &[ReadyConversation], count: usize) -> impl Iterator<Item = ConversationKey> {
    waiting.iter().take(count).map(|c| c.key.clone())
}

/// Takes those out that cannot be read, as those of a later version: no worker can be started for them, and each would
/// take the place of another in every run. The first `count` have been read; where some cannot be, those behind them are.
pub(super) async fn drop_unreadable(
    app: &App,
    waiting: &mut Vec<ReadyConversation>,
    count: usize,
    read: &mut Read,
) -> Result<(), AppError> {
    let mut known = count.min(waiting.len());
    for reads in 0..=READS_MAX {
        let before = waiting.len();
        waiting.retain(|c| !matches!(read.get(&c.key), Some(Err(_))));
        known = known.saturating_sub(before - waiting.len());
        let next: Vec<_> = first(&waiting[known..], READ_AT_ONCE).collect();
        if known >= count || next.is_empty() || reads == READS_MAX {
            break;
        }
        known += next.len();
        read.extend(app.store.conversations_each(&next).await?);
    }
    Ok(())
}
