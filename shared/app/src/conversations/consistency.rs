//! The consistency check: it finds conversations that hold work, a lease or an owner although neither the ready index nor a
//! worker's row names them, and all other malformed conversations. Reconcile never finds them, because it reads only what
//! the index and the rows name.
//!
//! An operator starts it. It reads the whole table in pages, and costs as much as it reads.

use std::collections::{BTreeMap, BTreeSet};

use af_api::queue::{MalformedConversation, RecoverAnswer};
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

/// Items of one page. All conversations of a page are checked before the next page is read, so a call that ends after a page
/// has missed none.
const PAGE_ITEMS: i32 = 250;
/// The most pages of one call: 2 000 items of some KB each, a few hundred read units.
const MAX_PAGES: usize = 8;
/// The number of malformed conversations after which a call reads no further page: each takes about ten requests, and the
/// function has 29 s.
const MAX_MALFORMED: usize = 100;
/// The most conversations that are examined at the same time.
const MAX_CONCURRENT: usize = 8;

/// Checks the next pages from `from`, the position where an earlier call ended. With `repair`, problems are repaired. The
/// answer has the position of the next call as its `next_cursor`.
///
/// # Errors
/// When the table cannot answer, or `from` is not a cursor that an earlier call has answered.
pub async fn check(app: &App, from: Option<&str>, repair: bool) -> Result<RecoverAnswer, AppError> {
    let policies = policies::in_force(app).await?;
    let mut position = from.map(position_of).transpose()?;
    let workers = app.store.workers().await?;
    let workers: BTreeMap<_, _> = workers.into_iter().map(|w| (w.id.clone(), w)).collect();
    let mut answer = RecoverAnswer::default();
    for _ in 0..MAX_PAGES {
        let page = app.store.scan_conversations(PAGE_ITEMS, position.as_ref()).await?;
        answer.checked += page.conversations.len();
        answer.found.extend(check_page(app, page.conversations, &workers, repair, &policies).await?);
        position = page.next;
        if position.is_none() || answer.found.len() >= MAX_MALFORMED {
            break;
        }
    }
    answer.next_cursor = position.map(|key| format!("{}{SEPARATOR}{}", key.sk, key.pk));
    Ok(answer)
}

/// Separates sort key and partition key in a cursor. Our sort keys do not contain it.
const SEPARATOR: char = '\n';

fn position_of(text: &str) -> Result<Key, Refusal> {
    let (sk, pk) = text.split_once(SEPARATOR).ok_or_else(|| {
        Refusal::field("/cursor", "cursor must be a nextCursor that this call has answered")
    })?;
    Ok(Key { pk: pk.to_owned(), sk: sk.to_owned() })
}

/// Checks the conversations of a page. First it compares them with one read of all rows and messages, which may be outdated.
/// Then it examines each conversation that seems malformed.
async fn check_page(
    app: &App,
    passed: Vec<ScannedConversation>,
    workers: &BTreeMap<WorkerId, Worker>,
    repair: bool,
    policies: &Policies,
) -> Result<Vec<MalformedConversation>, AppError> {
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
        .map(|(name, key)| examine_one(app, name, key, repair, policies))
        .buffered(MAX_CONCURRENT);
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

async fn examine_one(
    app: &App,
    name: String,
    key: ConversationKey,
    repair: bool,
    policies: &Policies,
) -> Result<Vec<MalformedConversation>, AppError> {
    match examine(app, &key, repair, policies).await {
        Ok(found) => Ok(found
            .into_iter()
            .map(|f| MalformedConversation {
                conversation_id: name.clone(),
                problem: f.problem,
                repaired: f.repaired,
            })
            .collect()),
        // An item that it names cannot be read. That must not hide the other conversations.
        Err(AppError::Store(error @ StoreError::Malformed { .. })) => Ok(vec![unreadable(name, &error)]),
        // Other writers keep changing it, so it is in use.
        Err(AppError::Overtaken(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn unreadable(conversation_id: String, error: &StoreError) -> MalformedConversation {
    MalformedConversation { conversation_id, problem: error.to_string(), repaired: false }
}
