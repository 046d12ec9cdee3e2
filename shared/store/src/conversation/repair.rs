//! Repairs of malformed states. Each repair requires that the facts of its decision still hold, including
//! those of the items that the conversation names. It does nothing if a row or a message has reappeared in
//! between.

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, MessageId, WorkerId};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;

use super::item::{change, conversation_from};
use super::owner::freed_meta;
use crate::expression::Update;
use crate::write::{Commit, Updated};
use crate::{Result, Store, keys};

impl Store {
    /// Corrects the keys of a conversation in the ready index, and its partition if it has no owner. A
    /// repeated repair finds the keys that it would write.
    pub async fn repair_if_unchanged(
        &self,
        before: &Conversation,
        after: &Conversation,
        policies: &Policies,
    ) -> Result<Commit> {
        let shards = policies.queue.ready_shards;
        let partition = after.owner.is_none().then(|| keys::ready_partition(&after.key, shards));
        let update = change(before, after, shards).set_or_remove("rp", partition);
        match self.update(update).await? {
            Updated::Done(_) => Ok(Commit::Done),
            Updated::Refused(old) => {
                let keys = |c: &Conversation| (c.version, c.ready.clone(), c.behind.clone());
                let found = old.as_ref().map(conversation_from).transpose()?;
                let is_ours = found.is_some_and(|found| keys(&found) == keys(after));
                Ok(if is_ours { Commit::Done } else { Commit::Stale })
            }
        }
    }

    /// Removes messages from the lease or the queue of a conversation, on condition that they do not exist or
    /// have ended.
    pub async fn forget_if_ended(
        &self,
        before: &Conversation,
        after: &Conversation,
        messages: &[MessageId],
        policies: &Policies,
    ) -> Result<Commit> {
        let mut transaction = self.transaction().update(change(before, after, policies.queue.ready_shards));
        for message in messages {
            let over = Update::of(keys::message(message))
                .when("attribute_not_exists(#pk) OR #st <> :queued")
                .bind(":queued", "queued");
            transaction = transaction.require(&over);
        }
        self.commit_or_stale(transaction).await
    }

    /// Frees a conversation that runs no message, on condition that the owner has no row, or that its row
    /// does not name the conversation or is stopping.
    pub async fn free_if_not_assigned(
        &self,
        before: &Conversation,
        after: &Conversation,
        worker: &WorkerId,
        policies: &Policies,
    ) -> Result<Commit> {
        let meta = freed_meta(worker, before, after, policies);
        let row = Update::of(keys::worker(worker))
            .when("attribute_not_exists(#as) OR #as.#ck <> :ck OR #st = :stopping")
            .bind(":ck", before.key.as_str())
            .bind(":stopping", "stopping");
        self.commit_or_stale(self.transaction().update(meta).require(&row)).await
    }

    /// Removes the conversation at `key` from a worker's row, on condition that the conversation does not
    /// name the worker as its owner.
    pub async fn unassign_if_not_owner(
        &self,
        worker: &WorkerId,
        key: &ConversationKey,
        now: Timestamp,
    ) -> Result<Commit> {
        let row = Update::of(keys::worker(worker)).remove("as").set("qs", now).when_is("as.ck", key.as_str());
        let meta = Update::of(keys::conversation(key))
            .when("attribute_not_exists(#ow) OR #ow.#w <> :worker")
            .bind(":worker", worker.as_str());
        self.commit_or_stale(self.transaction().update(row).require(&meta)).await
    }
}
