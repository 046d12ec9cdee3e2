//! Fail and recover: the writes that end an attempt without success.

use af_domain::conversation::{Conversation, FailedAttempt, Lease, Outcome};
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::time::Timestamp;

use super::item::change;
use crate::attempt::{failed_attempt, with_attempt};
use crate::expression::Update;
use crate::item::Writer;
use crate::message::ended_message_ttl;
use crate::outbox::NewEntry;
use crate::write::{Committed, Transaction};
use crate::{Result, Store, keys};

/// The result of committing a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOutcome {
    /// The attempt has ended.
    Done,
    /// The conversation has changed in between. Nothing was written.
    Stale,
    /// The message does not exist, so there is no attempt to end. Nothing was written.
    MessageMissing,
}

impl Store {
    /// Commits the end of a failed attempt, as decided on `before`, with a notice for the person. A recovery also requires that the lease
    /// was not extended in between. A failure is reported by the holder itself, so it needs no such
    /// condition.
    pub async fn fail_if_unchanged(
        &self,
        before: &Conversation,
        back: &FailedAttempt,
        recovered: bool,
        now: Timestamp,
        policies: &Policies,
        notice: Option<&NewEntry>,
    ) -> Result<FailOutcome> {
        let Some(lease) = &before.lease else { return Ok(FailOutcome::Stale) };
        let mut meta =
            change(before, &back.after, policies.queue.ready_shards).when_is("ls.l", lease.id.as_str());
        if recovered {
            meta = meta.when_is("ls.ex", lease.expires_at);
        }
        let transaction =
            end_failed_attempt(self.transaction().update(meta), before, lease, back, now, policies);
        let committed = self.commit_and_notify(transaction, notice).await?;
        Ok(match &committed {
            Committed::Done => FailOutcome::Done,
            // The second write is the message's.
            Committed::Refused(failed) if failed.iter().all(|r| r.index == 1) => FailOutcome::MessageMissing,
            Committed::Refused(_) => FailOutcome::Stale,
        })
    }
}

/// Adds the message update of a failed attempt to `transaction`: the message waits for its retry, becomes a
/// dead letter with its mark, or is cancelled.
pub(super) fn end_failed_attempt(
    transaction: Transaction,
    before: &Conversation,
    lease: &Lease,
    back: &FailedAttempt,
    now: Timestamp,
    policies: &Policies,
) -> Transaction {
    let id = &back.entry.message;
    let message = with_attempt(Update::of(keys::message(id)), &failed_attempt(lease, back, now))
        .set("er", back.error.as_str())
        .set("at", back.entry.attempts_counted())
        .when("attribute_exists(#pk)");
    let ended = |status: MessageStatus| {
        message.clone().set("st", status.as_str()).set("da", now).set("fe", before.fence.0)
    };
    match back.outcome {
        Outcome::DeadLettered => {
            let mark = Writer::at(keys::dead_letter(id, now)).put("cid", before.id.as_str());
            let dead = ended(MessageStatus::DeadLetter)
                .set("am", back.entry.max_attempts)
                .set_or_remove("ff", back.entry.first_fence.map(|fence| fence.0));
            transaction.update(dead).put(mark.build())
        }
        Outcome::Cancelled => {
            transaction.update(ended(MessageStatus::Cancelled).set("ttl", ended_message_ttl(now, policies)))
        }
        Outcome::Done | Outcome::Requeued { .. } => transaction.update(message),
    }
}
