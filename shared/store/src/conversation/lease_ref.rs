//! The lease that a worker names in a call.

use af_domain::conversation::Lease;
use af_domain::ids::{LeaseId, MessageId, WorkerId};

use crate::expression::Update;
use crate::keys;

/// A lease as a worker names it in a call. All fields must match the lease in force.
#[derive(Debug, Clone, Copy)]
pub struct LeaseRef<'a> {
    /// The lease id.
    pub lease: &'a LeaseId,
    /// The message of the lease, if the call names it.
    pub message: Option<&'a MessageId>,
    /// The calling worker.
    pub worker: &'a WorkerId,
}

impl LeaseRef<'_> {
    /// Whether all fields match `lease`.
    pub(super) fn matches(&self, lease: &Lease) -> bool {
        &lease.id == self.lease
            && &lease.worker == self.worker
            && self.message.is_none_or(|message| message == &lease.entry.message)
    }

    /// Begins an update of the conversation, on condition that all fields match the lease in force.
    pub(crate) fn update(&self) -> Update {
        let update = Update::of(keys::conversation(&self.lease.parts().conversation))
            .when_is("ls.l", self.lease.as_str())
            .when_is("ls.w", self.worker.as_str());
        match self.message {
            Some(message) => update.when_is("ls.m", message.as_str()),
            None => update,
        }
    }
}
