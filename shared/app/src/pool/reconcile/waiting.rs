//! Conversations that wait for a worker: the entries of the ready index, without conversations that cannot be read and
//! conversations of disabled agents.

use std::collections::{BTreeMap, BTreeSet};

use af_domain::conversation::Conversation;
use af_domain::ids::ConversationKey;
use af_domain::policy::Policies;
use af_domain::pool::{ReadyConversation, SPAWN_AHEAD};
use af_store::StoreError;

use crate::conversations::hold::is_agent_disabled;
use crate::{App, Result};

/// Entries of one page of a shard: far below the 1 MB at which DynamoDB ends a page.
const READY_PAGE: i32 = 2_000;
/// The most pages of one shard: 10 000 conversations are ten times what the largest pool serves.
const MAX_READY_PAGES: usize = 5;
/// Conversations in one further read, after one of the first cannot be read: the size of one batch request.
const READ_BATCH: usize = 100;
/// The most further reads in one run. After five hundred conversations that cannot be read, the search ends.
const MAX_READS: usize = 5;

/// Conversations by key, each as it was read.
pub(super) type Read = BTreeMap<ConversationKey, Result<Conversation, StoreError>>;

/// The entries of the ready index up to `SPAWN_AHEAD` from now, the longest wait first.
pub(super) async fn listed(app: &App, policies: &Policies) -> Result<Vec<ReadyConversation>> {
    let shards = (0..policies.queue.ready_shards).map(|number| shard(app, number));
    let shards = futures::future::try_join_all(shards).await?;
    let mut waiting: Vec<_> = shards.into_iter().flatten().collect();
    waiting.sort_by(|a, b| (a.ready.time(), &a.key).cmp(&(b.ready.time(), &b.key)));
    Ok(waiting)
}

async fn shard(app: &App, number: u64) -> Result<Vec<ReadyConversation>> {
    let until = app.now() + SPAWN_AHEAD;
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..MAX_READY_PAGES {
        let page = app.store.ready_page(number, until, READY_PAGE, after).await?;
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}

/// The first `count` of them, for which workers are started.
pub(super) fn first(waiting: &[ReadyConversation], count: usize) -> impl Iterator<Item = ConversationKey> {
    waiting.iter().take(count).map(|c| c.key.clone())
}

/// Removes conversations that cannot be read, for example because a later version has written them, and conversations of
/// disabled agents. No worker can be started for them, and each would take the place of another in every run. The first
/// `count` are in `read` already; when some of them are removed, the next ones are read. Returns those of disabled agents.
pub(super) async fn drop_unservable(
    app: &App,
    waiting: &mut Vec<ReadyConversation>,
    count: usize,
    read: &mut Read,
) -> Result<Vec<Conversation>> {
    let mut known = count.min(waiting.len());
    let mut disabled = Vec::new();
    for reads in 0..=MAX_READS {
        let mut unservable = BTreeSet::new();
        for key in first(waiting, known) {
            match read.get(&key) {
                Some(Ok(conversation)) if is_agent_disabled(app, conversation).await? => {
                    disabled.push(conversation.clone());
                    unservable.insert(key);
                }
                Some(Err(_)) => drop(unservable.insert(key)),
                Some(Ok(_)) | None => {}
            }
        }
        waiting.retain(|c| !unservable.contains(&c.key));
        known = known.saturating_sub(unservable.len());
        let next: Vec<_> = first(&waiting[known..], READ_BATCH).collect();
        if known >= count || next.is_empty() || reads == MAX_READS {
            break;
        }
        known += next.len();
        read.extend(app.store.conversations_each(&next).await?);
    }
    Ok(disabled)
}
