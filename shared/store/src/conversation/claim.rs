//! Claim, heartbeat and redelivery: the writes that create and extend a lease.

use af_domain::conversation::{Claimed, Conversation, OwnerState};
use af_domain::ids::{ConversationKey, LeaseId, WorkerId};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;

use super::item::{change, conversation_from, lease_of};
use super::lease_ref::LeaseRef;
use crate::expression::Update;
use crate::item::Item;
use crate::write::{Commit, Updated};
use crate::{Result, Store, keys};

/// How often a claim is answered again to the worker that holds its lease. The first answer may have been
/// lost.
pub(crate) const MAX_REDELIVERIES: u32 = 3;

impl Store {
    /// Commits a claim by the owner of the conversation, in one update. A repeated claim recognises its own
    /// lease.
    pub async fn claim_if_owned(
        &self,
        before: &Conversation,
        claimed: &Claimed,
        policies: &Policies,
    ) -> Result<Commit> {
        let update = change(before, &claimed.after, policies.queue.ready_shards)
            .when("attribute_not_exists(#ls) AND #ow.#w = :worker AND #ow.#st = :active")
            .bind(":worker", claimed.lease.worker.as_str())
            .bind(":active", "active");
        match self.update(update).await? {
            Updated::Done(_) => Ok(Commit::Done),
            Updated::Refused(old) => done_if_ours(old.as_ref(), &claimed.lease.id),
        }
    }

    /// Commits a claim by a worker without a conversation, in a transaction on both items.
    pub async fn claim_if_free(
        &self,
        before: &Conversation,
        claimed: &Claimed,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Commit> {
        let update = change(before, &claimed.after, policies.queue.ready_shards)
            .when("attribute_not_exists(#ls) AND attribute_not_exists(#ow)");
        let worker = crate::worker::assign(&claimed.lease.worker, &claimed.after, now);
        let committed = self.commit(self.transaction().update(update).update(worker)).await?;
        if committed.is_done() {
            return Ok(Commit::Done);
        }
        done_if_ours(committed.old_item(0), &claimed.lease.id)
    }

    /// Answers a claim again: counts the redelivery, on condition that lease `id` is in force and has
    /// redeliveries left.
    pub async fn redeliver_if_leased(
        &self,
        key: &ConversationKey,
        id: &LeaseId,
        now: Timestamp,
    ) -> Result<Option<Conversation>> {
        let update = Update::of(keys::conversation(key))
            .set_to("ls.rd", "#ls.#rd + :one")
            .set("ow.sn", now)
            .when("#ls.#l = :lease AND #ls.#rd < :max AND #ls.#ex > :now")
            .bind(":lease", id.as_str())
            .bind(":one", 1_u64)
            .bind(":max", MAX_REDELIVERIES)
            .bind(":now", now);
        self.updated_conversation(update).await
    }

    /// Extends the lease by the policy's duration from now. Returns `None` if the lease is no longer in force.
    /// A heartbeat may be repeated.
    pub async fn heartbeat_if_leased(
        &self,
        held: &LeaseRef<'_>,
        progress: Option<&str>,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Option<Conversation>> {
        let update = held
            .update()
            .set("ls.ex", now + policies.lease.lease)
            .set("ow.sn", now)
            .set_some("ls.pg", progress);
        self.updated_conversation(update).await
    }

    /// Records a sign of life of the owner. Returns the conversation, or `None` if `worker` does not own it.
    pub async fn seen_if_owner(
        &self,
        key: &ConversationKey,
        worker: &WorkerId,
        now: Timestamp,
    ) -> Result<Option<Conversation>> {
        let update = Update::of(keys::conversation(key)).set("ow.sn", now).when_is("ow.w", worker.as_str());
        self.updated_conversation(update).await
    }

    /// Records that `worker` has fetched the files to restore, on condition that it owns the conversation and has claimed
    /// no message yet.
    pub async fn restored_if_unclaimed(
        &self,
        key: &ConversationKey,
        worker: &WorkerId,
        now: Timestamp,
    ) -> Result<Commit> {
        let update = Update::of(keys::conversation(key))
            .set("ow.rs", now)
            .when_is("ow.w", worker.as_str())
            .when("attribute_not_exists(#ow.#cl)");
        self.update_or_stale(update).await
    }

    /// Asks the owner to release the conversation when it is quiet, or withdraws that request.
    pub async fn ask_to_switch_if_owned(&self, conversation: &Conversation, wanted: bool) -> Result<Commit> {
        let Some(owner) = conversation.owner.as_ref().filter(|o| o.state == OwnerState::Active) else {
            return Ok(Commit::Stale);
        };
        let update = Update::of(keys::conversation(&conversation.key))
            .set_or_remove("ow.sw", wanted.then_some(true))
            .when_is("ow.w", owner.worker.as_str());
        self.update_or_stale(update).await
    }

    /// Sends an update of a meta item. Returns the conversation after it, or `None` if the condition does not
    /// hold.
    async fn updated_conversation(&self, update: Update) -> Result<Option<Conversation>> {
        match self.update(update).await? {
            Updated::Done(item) => conversation_from(&item).map(Some),
            Updated::Refused(_) => Ok(None),
        }
    }
}

/// Returns `Done` if the item that refused the write shows that an earlier attempt of the same claim succeeded.
fn done_if_ours(old: Option<&Item>, lease: &LeaseId) -> Result<Commit> {
    let stored = old.map(lease_of).transpose()?.flatten();
    Ok(if stored.is_some_and(|l| &l.id == lease) { Commit::Done } else { Commit::Stale })
}
