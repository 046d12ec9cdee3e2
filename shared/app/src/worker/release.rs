//! Release: a worker gives up a quiet conversation and keeps polling for another.

use af_domain::conversation::{Conversation, OwnerState};
use af_domain::policy::Policies;
use af_domain::worker::Worker;
use af_store::conversation::Commit;

use crate::{App, Result};

/// Times that a release is decided again because the conversation has changed meanwhile. Only enqueues and operators change
/// a quiet conversation.
const MAX_RELEASE_TRIES: usize = 3;

/// What a worker does with the conversation that it names in a poll.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ownership {
    /// The worker keeps it.
    #[default]
    Keep,
    /// The worker releases it. Refused while the worker owes a final snapshot.
    Release,
    /// The worker releases it and has nothing to keep of it, so it owes no snapshot.
    Discard,
}

/// Whether the worker has released `conversation`. It keeps a conversation that is no longer quiet, and one whose final
/// snapshot it owes and does not discard.
pub(super) async fn release(
    app: &App,
    row: &Worker,
    conversation: &Conversation,
    ownership: Ownership,
    policies: &Policies,
) -> Result<bool> {
    if ownership == Ownership::Keep {
        return Ok(false);
    }
    let mut conversation = conversation.clone();
    for _ in 0..MAX_RELEASE_TRIES {
        let now = app.now();
        if conversation.owes_snapshot() && ownership != Ownership::Discard {
            return Ok(false);
        }
        let is_active = conversation.owner.as_ref().is_some_and(|o| o.state == OwnerState::Active);
        let Some(free) = conversation.released_by(&row.id, now, policies).filter(|_| is_active) else {
            return Ok(false);
        };
        if let Commit::Done = app.store.release_if_quiet(row, &conversation, &free, policies).await? {
            return Ok(true);
        }
        match app.store.conversation(&conversation.key, true).await? {
            Some(newer) => conversation = newer,
            None => return Ok(false),
        }
    }
    Ok(false)
}
