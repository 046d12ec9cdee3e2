//! Owners: giving a conversation to a worker, draining, letting go. Always one transaction over the
//! conversation's meta item and the worker's row, so that the two never disagree.

use af_domain::conversation::{Conversation, OwnerState};
use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::worker::{Worker, WorkerStatus};

use super::Commit;
use super::item::change;
use crate::expression::Update;
use crate::once::{Once, call_item};
use crate::reconcile_lease::ReconcileHolder;
use crate::worker::{drain_row, release_row, settle_row, worker_item};
use crate::write::Committed;
use crate::{Store, StoreError, keys};

impl Store {
    /// Registers `worker`, whose id no worker may have that is remembered, as the owner of a conversation that has none;
    /// a reconcile only while it holds the lease.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn register_if_free(
        &self,
        worker: &Worker,
        before: &Conversation,
        after: &Conversation,
        (holder, once): (Option<&ReconcileHolder>, Option<&Once>),
        policies: &Policies,
    ) -> Result<Commit, StoreError> {
        let meta = change(before, after, policies.queue.ready_shards).when("attribute_not_exists(#ow)");
        let past = keys::stopped_worker(&worker.id);
        let transaction = self.transaction().update(meta).put_new(worker_item(worker));
        let mut transaction = transaction.check_absent(&past, worker.registered_at);
        if let Some(once) = once {
            transaction = transaction.put_new_at(call_item(once, worker.id.as_str()), once.at);
        }
        if let Some(holder) = holder {
            transaction = transaction.require(&holder.holds());
        }
        Ok(as_commit(&self.commit(transaction).await?))
    }

    /// Lets go of a conversation that runs nothing; the worker stays active and is free for another.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn release_if_quiet(
        &self,
        worker: &Worker,
        before: &Conversation,
        after: &Conversation,
        policies: &Policies,
    ) -> Result<Commit, StoreError> {
        let meta = freed_meta(&worker.id, before, after, policies);
        let claimed_at = before.owner.as_ref().and_then(|o| o.claimed_at);
        let row = release_row(worker, claimed_at, after.active_at);
        let transaction = self.transaction().update(meta).update(row);
        Ok(as_commit(&self.commit(transaction).await?))
    }

    /// Tells `worker` to leave. With a conversation, that conversation says so too, for heartbeats and polls
    /// read only it; one for which it must be quiet also requires that no work has come since `conversation` was read.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn drain_if_active(
        &self,
        drained: &Worker,
        conversation: Option<&Conversation>,
        policies: &Policies,
    ) -> Result<Commit, StoreError> {
        let WorkerStatus::Draining { drain_by, reason } = drained.status else { return Ok(Commit::Stale) };
        let mut transaction = self.transaction().update(drain_row(drained, drain_by, reason));
        if let Some(before) = conversation {
            let mut after = before.clone();
            after.version += 1;
            if let Some(owner) = &mut after.owner {
                owner.state = OwnerState::Draining;
            }
            let mut meta = change(before, &after, policies.queue.ready_shards)
                .when("#ow.#w = :worker")
                .bind(":worker", drained.id.as_str());
            if reason.wants_quiet() {
                meta = meta.when("attribute_not_exists(#ls)");
            }
            transaction = transaction.update(meta);
        }
        Ok(as_commit(&self.commit(transaction).await?))
    }

    /// Frees a draining worker's conversation, which runs nothing any more, and begins its teardown.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn settle_if_draining(
        &self,
        settled: &Worker,
        freed: Option<(&Conversation, &Conversation)>,
        policies: &Policies,
    ) -> Result<Commit, StoreError> {
        let WorkerStatus::Stopping { since } = settled.status else { return Ok(Commit::Stale) };
        let mut transaction = self.transaction().update(settle_row(settled, since));
        if let Some((before, after)) = freed {
            transaction = transaction.update(freed_meta(&settled.id, before, after, policies));
        }
        Ok(as_commit(&self.commit(transaction).await?))
    }
}

/// The conversation's part of whatever frees it from a worker that runs nothing.
pub(crate) fn freed_meta(
    worker: &WorkerId,
    before: &Conversation,
    after: &Conversation,
    policies: &Policies,
) -> Update {
    change(before, after, policies.queue.ready_shards)
        .when("attribute_not_exists(#ls) AND #ow.#w = :worker")
        .bind(":worker", worker.as_str())
}

pub(crate) const fn as_commit(committed: &Committed) -> Commit {
    if committed.is_done() { Commit::Done } else { Commit::Stale }
}
