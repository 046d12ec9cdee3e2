//! The time that a reconcile run may take.

use af_domain::time::{Millis, Timestamp};
use af_store::reconcile_lease::ReconcileHolder;

/// The time limits of one reconcile invocation. They follow from the time limit of its function.
#[derive(Debug, Clone, Copy)]
pub struct InvocationLimits {
    /// How long the provider's lists may take. The lists of a thousand machines take about ten seconds. Half of the time
    /// is left for actions that do not need them.
    pub(super) lists: Millis,
    /// The time after which no run and no action begins. An invocation that was frozen may continue when another holds the
    /// lease; then it must not change the pool.
    pub(super) begins: Millis,
    /// The time after which the invocation waits for no action. The rest until the function's limit is for the report
    /// and the lease. Otherwise a provider that hangs would keep the lease held.
    pub(super) ends: Millis,
}

impl InvocationLimits {
    /// For a function of 60 s, which no caller waits for.
    pub const BY_EVENT: Self = Self::secs(20, 40, 50);
    /// For a function of 29 s, whose caller waits. The lists of the largest pools fit just in time.
    pub const BY_CALL: Self = Self::secs(12, 18, 23);

    const fn secs(lists: u64, begins: u64, ends: u64) -> Self {
        let [lists, begins, ends] =
            [Millis::from_secs(lists), Millis::from_secs(begins), Millis::from_secs(ends)];
        Self { lists, begins, ends }
    }

    /// The time after which the invocation waits for no action.
    pub const fn ends(self) -> Millis {
        self.ends
    }
}

/// The lease of a run and its time limits.
pub(super) struct RunBudget<'a> {
    /// The reconcile lease.
    pub holder: &'a ReconcileHolder,
    /// The moment after which no action begins.
    pub begins_until: Timestamp,
    /// The moment after which the run waits for no action.
    pub ends_at: Timestamp,
    /// How long the provider's lists may take.
    pub lists: Millis,
    /// Held while a worker is registered. Each registration checks the item of the lease, and DynamoDB refuses concurrent
    /// transactions on one item.
    pub registering: tokio::sync::Mutex<()>,
}
