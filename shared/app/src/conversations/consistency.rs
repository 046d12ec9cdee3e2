//! The audit: conversations that neither the ready index nor a worker's row names although they hold work, a lease or
//! an owner, and everything else that is malformed. Reconcile never finds them, for it looks at what these two name.
//!
//! It is a walk over the whole table in pages, for an operator: it costs what it reads.

use std::collections::{BTreeMap, BTreeSet};

use af_domain::ids::{ConversationKey, MessageId, WorkerId};
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::refusal::Refusal;
use af_domain::worker::Worker;
use af_store::StoreError;
use af_store::conversation::{ScannedConversation, StoredConversation};
use af_store::keys::Key;
use futures::{StreamExt, TryStreamExt};

use crate::conversations::repair::{evidence, examine, named};
use crate::settings::policies;
use crate::{App, AppError};

/// Items read at a time. All of their conversations are checked before the next are read, so that a call that ends
/// here has missed none.
const PAGE_ITEMS: i32 = 250;
/// Pages of one call: 2 000 items of some KB each, a few hundred read units.
const PAGES_MAX: usize = 8;
/// Malformed conversations after which a call reads no further page: each takes some ten requests, and the function
/// has 29 s.
const MALFORMED_MAX: usize = 100;
/// Conversations examined at the same time.
const AT_ONCE_MAX: usize = 8;

/// What one call has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audited {
    /// Conversations that hold something and were checked.
    pub checked: usize,
    /// What was wrong with them.
    pub found: Vec<Malformed>,
    /// Where the next call goes on; none at the end.
    pub next: Option<String>,
}

/// Something that was wrong with a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Its id, or its partition where the id cannot be read.
    pub conversation: String,
    /// What was wrong.
    pub problem: String,
    /// Whether it is mended.
    pub repaired: bool,
}

/// Walks on from `from`, where an earlier call ended. With `repair`, what is wrong is mended.
///
/// # Errors
/// When the table cannot answer, or `from` is no place of a walk.
pub async fn audit(app: &App, from: Option<&str>, repair: bool) -> Result<Audited, AppError> {
    let policies = policies::in_force(app).await?;
    let mut place = from.map(place).transpose()?;
    let workers = app.store.workers().await?;
    let workers: BTreeMap<_, _> = workers.into_iter().map(|w| (w.id.clone(), w)).collect();
    let mut audited = Audited::default();
    for _ in 0..PAGES_MAX {
        let page = app.store.scan_conversations(PAGE_ITEMS, place.as_ref()).await?;
        audited.checked += page.conversations.len();
        audited.found.extend(check(app, page.conversations, &workers, repair, &policies).await?);
        place = page.next;
        if place.is_none() || audited.found.len() >= MALFORMED_MAX {
            break;
        }
    }
    audited.next = place.map(|key| format!("{}{SEPARATOR}{}", key.sk, key.pk));
    Ok(audited)
}

/// Parts sort key and partition key of a place. Sort keys are made by us and do not hold it.
const SEPARATOR: char = '\n';

fn place(text: &str) -> Result<Key, Refusal> {
    let (sk, pk) = text.split_once(SEPARATOR).ok_or_else(|| {
        Refusal::field("/cursor", "cursor must be a nextCursor that this call has answered")
    })?;
    Ok(Key { pk: pk.to_owned(), sk: sk.to_owned() })
}

/// Checks what a page passed: first against what was read for all of them together, which may be a little behind; then
/// each that seems malformed by itself.
async fn check(
    app: &App,
    passed: Vec<ScannedConversation>,
    workers: &BTreeMap<WorkerId, Worker>,
    repair: bool,
    policies: &Policies,
) -> Result<Vec<Malformed>, AppError> {
    let messages: BTreeSet<_> =
        passed.iter().filter_map(|p| p.stored.as_ref().ok()).flat_map(|s| named(&s.conversation)).collect();
    let messages: Vec<_> = messages.into_iter().collect();
    let states = app.store.message_states(&messages).await?;
    let mut found = Vec::new();
    let mut suspects = Vec::new();
    for ScannedConversation { name, stored } in passed {
        match stored {
            Err(error) => found.push(unreadable(name, &error)),
            Ok(stored) if seems_malformed(app, &stored, workers, &states, policies) => {
                suspects.push((name, stored.conversation.key));
            }
            Ok(_) => {}
        }
    }
    let examined = futures::stream::iter(suspects)
        .map(|(name, key)| closely(app, name, key, repair, policies))
        .buffered(AT_ONCE_MAX);
    let examined: Vec<_> = examined.try_collect().await?;
    found.extend(examined.into_iter().flatten());
    Ok(found)
}

fn seems_malformed(
    app: &App,
    stored: &StoredConversation,
    workers: &BTreeMap<WorkerId, Worker>,
    states: &BTreeMap<MessageId, MessageStatus>,
    policies: &Policies,
) -> bool {
    let conversation = &stored.conversation;
    let owner = conversation.owner.as_ref().and_then(|o| workers.get(&o.worker));
    let is_over = |m: &MessageId| states.get(m) != Some(&MessageStatus::Queued);
    let over = named(conversation).into_iter().filter(is_over).collect();
    !conversation.problems(&evidence(stored, owner, over, policies), app.now(), policies).is_empty()
}

async fn closely(
    app: &App,
    name: String,
    key: ConversationKey,
    repair: bool,
    policies: &Policies,
) -> Result<Vec<Malformed>, AppError> {
    match examine(app, &key, repair, policies).await {
        Ok(found) => Ok(found
            .into_iter()
            .map(|f| Malformed { conversation: name.clone(), problem: f.problem, repaired: f.repaired })
            .collect()),
        // An item that it names cannot be read; that must not hide the others.
        Err(AppError::Store(error @ StoreError::Malformed { .. })) => Ok(vec![unreadable(name, &error)]),
        // Somebody keeps working on it, so it is alive.
        Err(AppError::Overtaken(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn unreadable(conversation: String, error: &StoreError) -> Malformed {
    Malformed { conversation, problem: error.to_string(), repaired: false }
}
