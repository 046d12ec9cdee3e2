//! Claim, heartbeat, redelivery: what makes and keeps a lease.

use af_domain::conversation::{Claimed, Conversation, OwnerState};
use af_domain::ids::{ConversationKey, LeaseId, WorkerId};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;

use super::item::{change, conversation_from, lease_of};
use super::{Commit, LeaseRef};
use crate::expression::Update;
use crate::item::Item;
use crate::write::{Committed, Updated};
use crate::{Store, StoreError, keys};

/// How often a claim is answered again to the worker that holds its lease; its first answer may have been lost.
pub(crate) const REDELIVERIES_MAX: u32 = 3;

impl Store {
    /// Carries out a claim by the conversation's owner: one update.
    ///
    /// # Errors
    /// When the table cannot answer; a claim sent again recognises its own lease.
    pub async fn claim_if_owned(
        &self,
        before: &Conversation,
        claimed: &Claimed,
        policies: &Policies,
    ) -> Result<Commit, StoreError> {
        let update = change(before, &claimed.after, policies.queue.ready_shards)
            .when("attribute_not_exists(#ls) AND #ow.#w = :worker AND #ow.#st = :active")
            .bind(":worker", claimed.lease.worker.as_str())
            .bind(":active", "active");
        match self.update(update).await? {
            Updated::Done(_) => Ok(Commit::Done),
            Updated::Refused(old) => commit_unless(!is_ours(old.as_ref(), &claimed.lease.id)?),
        }
    }

    /// Carries out a claim by a worker without a conversation: a transaction over both rows.
    ///
    /// # Errors
    /// As `claim_if_owned`.
    pub async fn claim_if_free(
        &self,
        before: &Conversation,
        claimed: &Claimed,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Commit, StoreError> {
        let update = change(before, &claimed.after, policies.queue.ready_shards)
            .when("attribute_not_exists(#ls) AND attribute_not_exists(#ow)");
        let worker = crate::worker::assign(&claimed.lease.worker, &claimed.after, now);
        let committed = self.commit(self.transaction().update(update).update(worker)).await?;
        match &committed {
            Committed::Done => Ok(Commit::Done),
            Committed::Refused(_) => {
                let old = committed.refusal(0).and_then(|r| r.old.as_ref());
                commit_unless(!is_ours(old, &claimed.lease.id)?)
            }
        }
    }

    /// Answers a claim again: counts the redelivery while lease `id` is in force and has redeliveries left.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn redeliver_if_leased(
        &self,
        key: &ConversationKey,
        id: &LeaseId,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        let update = Update::of(keys::conversation(key))
            .set_to("ls.rd", "#ls.#rd + :one")
            .set("ow.sn", now)
            .when("#ls.#l = :lease AND #ls.#rd < :max AND #ls.#ex > :now")
            .bind(":lease", id.as_str())
            .bind(":one", 1_u64)
            .bind(":max", REDELIVERIES_MAX)
            .bind(":now", now);
        match self.update(update).await? {
            Updated::Done(item) => conversation_from(&item).map(Some),
            Updated::Refused(_) => Ok(None),
        }
    }

    /// A heartbeat: extends the lease by the lease policy from now. `None` when it is not in force any more.
    ///
    /// # Errors
    /// When the table cannot answer; a heartbeat may be sent again.
    pub async fn heartbeat_if_leased(
        &self,
        leased: &LeaseRef<'_>,
        progress: Option<&str>,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Option<Conversation>, StoreError> {
        let mut update = leased
            .require(Update::of(keys::conversation(&leased.lease.parts().conversation)))
            .set("ls.ex", now + policies.lease.lease)
            .set("ow.sn", now);
        if let Some(progress) = progress {
            update = update.set("ls.pg", progress);
        }
        match self.update(update).await? {
            Updated::Done(item) => conversation_from(&item).map(Some),
            Updated::Refused(_) => Ok(None),
        }
    }

    /// An owner's sign of life; answers the conversation, or `None` when `worker` does not own it.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn seen_if_owner(
        &self,
        key: &ConversationKey,
        worker: &WorkerId,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        let update = Update::of(keys::conversation(key))
            .set("ow.sn", now)
            .when("#ow.#w = :worker")
            .bind(":worker", worker.as_str());
        match self.update(update).await? {
            Updated::Done(item) => conversation_from(&item).map(Some),
            Updated::Refused(_) => Ok(None),
        }
    }

    /// Notes that a conversation's owner, which has claimed nothing yet, has fetched the files that it begins with.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn restored_if_unclaimed(
        &self,
        key: &ConversationKey,
        now: Timestamp,
    ) -> Result<Commit, StoreError> {
        let update = Update::of(keys::conversation(key))
            .set("ow.rs", now)
            .when("attribute_exists(#ow) AND attribute_not_exists(#ow.#cl)");
        Ok(match self.update(update).await? {
            Updated::Done(_) => Commit::Done,
            Updated::Refused(_) => Commit::Stale,
        })
    }

    /// Asks the owner to let go when it is quiet, or takes that back.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn ask_to_switch_if_owned(
        &self,
        conversation: &Conversation,
        wanted: bool,
    ) -> Result<Commit, StoreError> {
        let Some(owner) = conversation.owner.as_ref().filter(|o| o.state == OwnerState::Active) else {
            return Ok(Commit::Stale);
        };
        let update = Update::of(keys::conversation(&conversation.key))
            .set_or_remove("ow.sw", wanted.then_some(true))
            .when("#ow.#w = :worker")
            .bind(":worker", owner.worker.as_str());
        match self.update(update).await? {
            Updated::Done(_) => Ok(Commit::Done),
            Updated::Refused(_) => Ok(Commit::Stale),
        }
    }
}

/// Whether the item that refused the write shows that an earlier sending of it was carried out.
fn is_ours(old: Option<&Item>, lease: &LeaseId) -> Result<bool, StoreError> {
    let leased = old.map(lease_of).transpose()?.flatten();
    Ok(leased.is_some_and(|l| &l.id == lease))
}

#[allow(clippy::unnecessary_wraps, reason = "the callers' last expression")]
const fn commit_unless(stale: bool) -> Result<Commit, StoreError> {
    Ok(if stale { Commit::Stale } else { Commit::Done })
}
