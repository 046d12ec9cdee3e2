//! Metadata that a worker adds to its message, while it runs and with its completion.

use std::collections::BTreeMap;

use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::refusal::Refusal;
use af_store::conversation::{Attach, LeaseRef};

use super::hydrate::held_by;
use crate::error::stale_lease;
use crate::{App, AppError, Result};

/// Most entries and characters of metadata that a worker may add to a message.
const MAX_ENTRIES: usize = 50;
const MAX_CHARS: usize = 1_000;
/// Most bytes of all metadata. The item holds it beside the payload and the reply.
const MAX_BYTES: usize = 64 * 1024;
/// The entry that marks metadata of which a part was left out.
const CUT: &str = "metadataCut";
const TRUE: &str = "true";
/// Times that the merge is made again because another call of the same worker has changed the metadata meanwhile.
const MAX_TRIES: usize = 5;

/// Merges `metadata` into that of the message: entries of the same name are replaced, others stay. Without a lease id
/// it uses the lease that `worker` holds on the message now.
///
/// # Errors
/// 409 when the lease is not in force; 422 when the merged metadata is too large. A call that is sent again
/// sets the same.
pub async fn attach(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: Option<&LeaseId>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    check(metadata)?;
    let lease = match lease {
        Some(lease) => lease.clone(),
        None => lease_on(app, worker, message).await?.ok_or_else(stale_lease)?,
    };
    let leased = LeaseRef { lease: &lease, message: Some(message), worker };
    for _ in 0..MAX_TRIES {
        let Some(before) = app.store.attached(message).await? else { return Err(stale_lease()) };
        let mut after = before.clone();
        after.extend(metadata.clone());
        check(&after)?;
        match app.store.attach_if_leased(&leased, message, &before, &after).await? {
            Attach::Done => return Ok(()),
            Attach::LeaseLost => return Err(stale_lease()),
            Attach::Stale => {}
        }
    }
    Err(AppError::Overtaken("adding metadata"))
}

async fn lease_on(app: &App, worker: &WorkerId, message: &MessageId) -> Result<Option<LeaseId>> {
    let Some(message) = app.store.message(message, app.now(), true).await? else { return Ok(None) };
    let conversation = app.store.conversation(&message.key, true).await?;
    Ok(conversation.and_then(|c| held_by(&c, worker, &message.id).map(|lease| lease.id.clone())))
}

fn check(metadata: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let refused = |pointer: &str, detail: String| Err(Refusal::field(pointer, detail));
    if metadata.len() > MAX_ENTRIES {
        return refused("/metadata", format!("metadata may have at most {MAX_ENTRIES} entries"));
    }
    for (name, value) in metadata {
        if !is_name(name) {
            return refused("/metadata", format!("a name in metadata must have 1 to {MAX_CHARS} characters"));
        }
        if value.chars().count() > MAX_CHARS {
            let pointer = format!("/metadata/{}", name.replace('~', "~0").replace('/', "~1"));
            return refused(&pointer, format!("a value in metadata may have at most {MAX_CHARS} characters"));
        }
    }
    if metadata.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() > MAX_BYTES {
        return refused("/metadata", format!("metadata may have at most {MAX_BYTES} bytes"));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=MAX_CHARS).contains(&name.chars().count())
}

/// The metadata of a completion within the limits, because the metadata must not cost the completion: long values are cut,
/// and further entries are left out. Then the entry [`CUT`] says so.
pub(super) fn within_limits(metadata: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if check(&metadata).is_ok() {
        return metadata;
    }
    let mut bytes = CUT.len() + TRUE.len();
    let named = metadata.into_iter().filter(|(name, _)| is_name(name) && name != CUT);
    let cut = named.map(|(name, value)| (name, value.chars().take(MAX_CHARS).collect::<String>()));
    let fitting = cut.take(MAX_ENTRIES - 1).take_while(|(name, value)| {
        bytes += name.len() + value.len();
        bytes <= MAX_BYTES
    });
    let mut fitting: BTreeMap<_, _> = fitting.collect();
    fitting.insert(CUT.to_owned(), TRUE.to_owned());
    fitting
}
