//! The time that a reconcile run may take.

use af_domain::time::{Millis, Timestamp};
use af_store::reconcile_lease::ReconcileHolder;

/// How long an invocation may take, by what its function has.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// How long the provider's lists may take: of a thousand machines they take some ten seconds, and half of the time is
    /// left for what does not need them.
    pub(super) lists: Millis,
    /// Time after which it begins nothing more, neither a run nor an action: one that was frozen, and wakes when its
    /// lease is another's, shall leave the pool alone.
    pub(super) begins: Millis,
    /// Time after which what has begun is no longer waited for: what is left until the function's limit is for the report
    /// and the lease. A provider that hangs would else take the lease with it.
    pub(super) ends: Millis,
}

impl Allowed {
    /// For a function of 60 s, which nobody waits for.
    pub const BY_EVENT: Self = Self::secs(20, 40, 50);
    /// For a function of 29 s, whose caller waits. The lists of the largest pools just fit.
    pub const BY_CALL: Self = Self::secs(12, 18, 23);

    const fn secs(lists: u64, begins: u64, ends: u64) -> Self {
        let [lists, begins, ends] =
            [Millis::from_secs(lists), Millis::from_secs(begins), Millis::from_secs(ends)];
        Self { lists, begins, ends }
    }

    /// When it has ended, but for the report and the lease.
    #[must_use]
    pub const fn ends(self) -> Millis {
        self.ends
    }
}

/// The right to run.
pub(super) struct RunBudget<'a> {
    /// The lease.
    pub holder: &'a ReconcileHolder,
    /// The moment after which nothing more begins.
    pub begins_until: Timestamp,
    /// The moment after which nothing is waited for.
    pub ends_at: Timestamp,
    /// How long the provider's lists may take.
    pub lists: Millis,
    /// Held while a worker is registered. Each registration checks the lease's item, and the table refuses
    /// transactions that meet on an item.
    pub registering: tokio::sync::Mutex<()>,
}
