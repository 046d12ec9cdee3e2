//! The owner: the worker that a conversation is assigned to while the worker has the conversation's files.

use super::state::{Conversation, Owner, OwnerState};
use crate::ids::WorkerId;
use crate::policy::Policies;
use crate::time::Timestamp;

impl Conversation {
    /// Makes `worker` the owner.
    pub(super) fn assign(&mut self, worker: &WorkerId, now: Timestamp) {
        self.owner = Some(Owner {
            worker: worker.clone(),
            state: OwnerState::Active,
            seen_at: None,
            assigned_at: now,
            wanted_elsewhere: false,
            claimed_at: None,
            snapshot_fence: None,
            restored_at: None,
        });
    }

    /// Returns the conversation with `worker` as its owner; `None` if it has an owner already.
    #[must_use]
    pub fn assigned_to(&self, worker: &WorkerId, now: Timestamp, policies: &Policies) -> Option<Self> {
        let is_free = self.owner.is_none() && self.lease.is_none();
        is_free.then(|| self.changed(now, policies, |after| after.assign(worker, now)))
    }

    /// Returns the conversation without its owner, back in the ready index. Returns `None` while a message
    /// runs, or if `worker` is not the owner.
    #[must_use]
    pub fn released_by(&self, worker: &WorkerId, now: Timestamp, policies: &Policies) -> Option<Self> {
        let is_quiet = self.lease.is_none() && self.is_owned_by(worker);
        is_quiet.then(|| self.changed(now, policies, |after| after.owner = None))
    }

    /// Whether `worker` is the owner.
    pub fn is_owned_by(&self, worker: &WorkerId) -> bool {
        self.owner.as_ref().is_some_and(|owner| &owner.worker == worker)
    }
}
