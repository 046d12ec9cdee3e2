//! Metadata that a worker adds to its message, while it runs and with its completion.

use std::collections::BTreeMap;

use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::refusal::Refusal;
use af_store::conversation::{Attach, LeaseRef};

use super::hydrate::held_by;
use crate::error::stale_lease;
use crate::{App, AppError};

/// Most entries and characters of metadata that a worker may add to a message.
const ENTRIES_MAX: usize = 50;
const CHARS_MAX: usize = 1_000;
/// Most bytes of all of it; the item holds it beside the payload and the reply.
const BYTES_MAX: usize = 64 * 1024;
/// Times that the merge is made anew because another call of the same worker was faster.
const TRIES_MAX: usize = 5;

/// Merges `metadata` into that of the message: entries of the same name are replaced, others stay. Without a lease it
/// is the one that `worker` holds on the message now.
///
/// # Errors
/// 409 when the lease is not in force; 422 when it is too much, with what was there before. A call that is sent again
/// sets the same.
pub async fn attach(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: Option<&LeaseId>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), AppError> {
    check(metadata)?;
    let lease = match lease {
        Some(lease) => lease.clone(),
        None => lease_on(app, worker, message).await?.ok_or_else(stale_lease)?,
    };
    let held = LeaseRef { lease: &lease, message: Some(message), worker };
    for _ in 0..TRIES_MAX {
        let Some(before) = app.store.attached(message).await? else { return Err(stale_lease()) };
        let mut after = before.clone();
        after.extend(metadata.clone());
        check(&after)?;
        match app.store.attach_if_leased(&held, message, &before, &after).await? {
            Attach::Done => return Ok(()),
            Attach::LeaseLost => return Err(stale_lease()),
            Attach::Stale => {}
        }
    }
    Err(AppError::Overtaken("adding metadata"))
}

async fn lease_on(app: &App, worker: &WorkerId, message: &MessageId) -> Result<Option<LeaseId>, AppError> {
    let Some(message) = app.store.message(message, app.now(), true).await? else { return Ok(None) };
    let conversation = app.store.conversation(&message.key, true).await?;
    Ok(conversation.and_then(|c| held_by(&c, worker, &message.id).map(|lease| lease.id.clone())))
}

pub(super) fn check(metadata: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let refused = |detail: String| Err(Refusal::field("/metadata", detail));
    let fits =
        |(k, v): (&String, &String)| !k.is_empty() && k.chars().count().max(v.chars().count()) <= CHARS_MAX;
    if metadata.len() > ENTRIES_MAX || !metadata.iter().all(fits) {
        return refused(format!(
            "metadata may have at most {ENTRIES_MAX} entries of at most {CHARS_MAX} characters, each with a name"
        ));
    }
    if metadata.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() > BYTES_MAX {
        return refused(format!("metadata may have at most {BYTES_MAX} bytes"));
    }
    Ok(())
}
