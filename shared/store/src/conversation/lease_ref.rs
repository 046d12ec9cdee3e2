//! The lease that a worker names in a call.

use af_domain::conversation::Lease;
use af_domain::ids::{LeaseId, MessageId, WorkerId};

use crate::expression::Update;

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

    /// Adds the condition that all fields match the lease in force.
    pub(super) fn require(&self, update: Update) -> Update {
        let update = update
            .when("#ls.#l = :lease AND #ls.#w = :worker")
            .bind(":lease", self.lease.as_str())
            .bind(":worker", self.worker.as_str());
        match self.message {
            Some(message) => update.when("#ls.#m = :message").bind(":message", message.as_str()),
            None => update,
        }
    }
}
