//! Cancel, retry and free: the writes of operator calls, and of senders that cancel their own messages.

use af_domain::conversation::{Conversation, Entry, Freed};
use af_domain::ids::MessageId;
use af_domain::message::{Message, MessageStatus};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use af_domain::worker::Worker;

use super::fail::end_failed_attempt;
use super::item::{change, uncount_dead_letter};
use crate::attempt::rotated;
use crate::expression::Update;
use crate::message::ended_message_ttl;
use crate::worker::freed_row;
use crate::write::Commit;
use crate::{Result, Store, keys};

impl Store {
    /// Cancels a waiting message. `after` is the conversation without it.
    pub async fn cancel_if_waiting(
        &self,
        before: &Conversation,
        after: &Conversation,
        message: &MessageId,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Commit> {
        let cancelled = cancelled(message, MessageStatus::Queued, now, policies);
        let meta = change(before, after, policies.queue.ready_shards);
        self.commit_or_stale(self.transaction().update(meta).update(cancelled)).await
    }

    /// Marks the running message as cancelled. Its worker learns it with the next heartbeat. The version is
    /// incremented, so that no decision made without the mark can commit. The mark may be set twice.
    pub async fn cancel_if_leased(&self, running: &Conversation) -> Result<Commit> {
        let Some(lease) = &running.lease else { return Ok(Commit::Stale) };
        let mark = Update::of(keys::conversation(&running.key))
            .set("ls.c", true)
            .set_to("v", "#v + :one")
            .bind(":one", 1_u64)
            .when_is("ls.l", lease.id.as_str());
        self.update_or_stale(mark).await
    }

    /// Cancels a dead letter and deletes its dead-letter mark.
    pub async fn cancel_if_dead(
        &self,
        dead: &Message,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Commit> {
        let Some(died_at) = dead.finished_at else { return Ok(Commit::Stale) };
        let cancelled = cancelled(&dead.id, MessageStatus::DeadLetter, now, policies).when_is("da", died_at);
        let counted = Update::of(keys::conversation(&dead.key)).when("attribute_exists(#pk)");
        let transaction = self.transaction().update(cancelled).update(uncount_dead_letter(counted));
        self.commit_or_stale(transaction.delete(&keys::dead_letter(&dead.id, died_at))).await
    }

    /// Queues a dead letter again as `entry`, which is part of `after`, and deletes its dead-letter mark.
    /// `token` identifies the call, so that a repetition recognises that an earlier attempt succeeded.
    pub async fn retry_if_dead(
        &self,
        before: &Conversation,
        after: &Conversation,
        dead: &Message,
        entry: &Entry,
        token: Option<&str>,
        policies: &Policies,
    ) -> Result<Commit> {
        let Some(died_at) = dead.finished_at else { return Ok(Commit::Stale) };
        let queued = Update::of(keys::message(&dead.id))
            .set("st", MessageStatus::Queued.as_str())
            .set("at", entry.attempts)
            .set("ats", rotated(&dead.attempt_log))
            .set_or_remove("rt", token)
            .set_or_remove("ra", token.map(|_| entry.due))
            .remove("da")
            .remove("fe")
            .remove("am")
            .remove("ff")
            .when_is("st", MessageStatus::DeadLetter.as_str())
            .when_is("da", died_at);
        let meta = uncount_dead_letter(change(before, after, policies.queue.ready_shards));
        let transaction = self.transaction().update(meta).update(queued);
        let transaction = transaction.delete(&keys::dead_letter(&dead.id, died_at));
        self.commit_or_stale(transaction).await
    }

    /// Frees a conversation from its owner and ends its running attempt. `owner` is the owner's row, if it names
    /// this conversation; the owner drains.
    pub async fn free_if_unchanged(
        &self,
        before: &Conversation,
        freed: &Freed,
        owner: Option<&Worker>,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Commit> {
        let meta = change(before, &freed.after, policies.queue.ready_shards);
        let mut transaction = self.transaction().update(meta);
        if let Some((lease, back)) = before.lease.as_ref().zip(freed.back.as_ref()) {
            transaction = end_failed_attempt(transaction, before, lease, back, now, policies);
        }
        if let Some(owner) = owner {
            transaction = transaction.update(freed_row(owner, before, now, policies));
        }
        self.commit_or_stale(transaction).await
    }
}

fn cancelled(message: &MessageId, before: MessageStatus, now: Timestamp, policies: &Policies) -> Update {
    Update::of(keys::message(message))
        .set("st", MessageStatus::Cancelled.as_str())
        .set("da", now)
        .set("ttl", ended_message_ttl(now, policies))
        .remove("am")
        .remove("ff")
        .when_is("st", before.as_str())
}
