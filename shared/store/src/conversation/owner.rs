//! Owners: assigning a conversation to a worker, draining and releasing it. Each write is one transaction on
//! the conversation's meta item and the worker's row, so that the two always agree.

use af_domain::conversation::{Conversation, OwnerState};
use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::worker::{Worker, WorkerStatus};

use super::item::change;
use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::reconcile_lease::ReconcileHolder;
use crate::worker::{drain_row, finish_drain_row, registration, release_row};
use crate::write::Commit;
use crate::{Result, Store};

impl Store {
    /// Registers `worker` as the owner of a conversation that has none. No current or recently stopped worker
    /// may have its id. A reconcile run may register a worker only while it holds the reconcile lease.
    pub async fn register_if_free(
        &self,
        worker: &Worker,
        before: &Conversation,
        after: &Conversation,
        holder: Option<&ReconcileHolder>,
        once: Option<&IdempotentCall>,
        policies: &Policies,
    ) -> Result<Commit> {
        let meta = change(before, after, policies.queue.ready_shards).when("attribute_not_exists(#ow)");
        let transaction = self.transaction().update(meta);
        self.commit_or_stale(registration(transaction, worker, holder, once)).await
    }

    /// Releases a conversation that runs no message. The worker stays active and is free for another conversation.
    pub async fn release_if_quiet(
        &self,
        worker: &Worker,
        before: &Conversation,
        after: &Conversation,
        policies: &Policies,
    ) -> Result<Commit> {
        let meta = freed_meta(&worker.id, before, after, policies);
        let claimed_at = before.owner.as_ref().and_then(|o| o.claimed_at);
        let row = release_row(worker, claimed_at, after.active_at);
        let transaction = self.transaction().update(meta).update(row);
        self.commit_or_stale(transaction).await
    }

    /// Drains `worker`. If it has a conversation, the conversation is marked too, because heartbeats and polls read only
    /// the conversation. A drain that requires a quiet worker also requires that no work arrived since `conversation` was
    /// read.
    pub async fn drain_if_active(
        &self,
        drained: &Worker,
        conversation: Option<&Conversation>,
        policies: &Policies,
    ) -> Result<Commit> {
        let WorkerStatus::Draining { drain_by, reason } = drained.status else { return Ok(Commit::Stale) };
        let mut transaction = self.transaction().update(drain_row(drained, drain_by, reason));
        if let Some(before) = conversation {
            let mut after = before.clone();
            after.version += 1;
            if let Some(owner) = &mut after.owner {
                owner.state = OwnerState::Draining;
            }
            let mut meta =
                change(before, &after, policies.queue.ready_shards).when_is("ow.w", drained.id.as_str());
            if reason.wants_quiet() {
                meta = meta.when("attribute_not_exists(#ls)");
            }
            transaction = transaction.update(meta);
        }
        self.commit_or_stale(transaction).await
    }

    /// Frees the conversation of a draining worker, which runs no message any more, and starts the worker's teardown.
    pub async fn finish_drain_if_draining(
        &self,
        settled: &Worker,
        freed: Option<(&Conversation, &Conversation)>,
        policies: &Policies,
    ) -> Result<Commit> {
        let WorkerStatus::Stopping { since } = settled.status else { return Ok(Commit::Stale) };
        let mut transaction = self.transaction().update(finish_drain_row(settled, since));
        if let Some((before, after)) = freed {
            transaction = transaction.update(freed_meta(&settled.id, before, after, policies));
        }
        self.commit_or_stale(transaction).await
    }
}

/// Returns the update of the conversation that frees it from a worker that runs no message.
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
