//! Complete, fail and recover: what ends a lease.

use std::collections::BTreeMap;

use af_domain::attempt::{Attempt, AttemptEnd, EndedBy};
use af_domain::conversation::{Conversation, GivenBack, Lease, NotHeld, Outcome, Settled};
use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::message::{HistoryEntry, Message, MessageStatus, PendingToolCall};
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};

use super::LeaseRef;
use super::history::{Place, history_item, tool_calls_item};
use super::item::{change, conversation_from, settled_item};
use crate::attempt::{given_back, remember};
use crate::expression::Update;
use crate::item::Writer;
use crate::write::{Committed, Transaction};
use crate::{Store, StoreError, keys};

/// What a worker says when it completes a message.
#[derive(Debug, Clone)]
pub struct CompleteWith {
    /// Entries for the conversation's history.
    pub history: Vec<HistoryEntry>,
    /// The conversation's pending tool calls from now on; `None` leaves them.
    pub pending_tool_calls: Option<Vec<PendingToolCall>>,
    /// Merged into the message's metadata.
    pub metadata: BTreeMap<String, String>,
    /// The agent's answer.
    pub reply: Option<String>,
}

/// What became of a completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completed {
    /// The message is done, by this call or an earlier sending of it.
    Done,
    /// The message was cancelled while it ran, and has ended as such.
    Cancelled,
    /// The lease is not in force; nothing was written.
    NotHeld(NotHeld),
}

/// The result of giving a message back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveBack {
    /// The message is given back.
    Done,
    /// The conversation has changed meanwhile; nothing was written.
    Stale,
    /// The message does not exist, so there is nothing to give back; nothing was written.
    MessageMissing,
}

impl Store {
    /// Completes the message of a lease and appends to the history, in one transaction without a prior read. A message
    /// that was cancelled meanwhile ends as such, with what its agent said.
    ///
    /// # Errors
    /// When the table cannot answer; a completion sent again is answered as the first.
    pub async fn complete_if_leased(
        &self,
        id: &LeaseId,
        message: &MessageId,
        worker: &WorkerId,
        with: &CompleteWith,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Completed, StoreError> {
        let leased = LeaseRef { lease: id, message: Some(message), worker };
        let mut outcome = Outcome::Done;
        let old = loop {
            let committed =
                self.commit(self.completion(&leased, message, with, outcome, now, policies)).await?;
            if committed.is_done() {
                return Ok(completed(outcome));
            }
            let old = committed.refusal(0).and_then(|r| r.old.as_ref()).map(conversation_from).transpose()?;
            let lease = old.as_ref().and_then(|c| c.lease.as_ref()).filter(|l| &l.id == id);
            match lease {
                Some(lease) if lease.cancelled && outcome == Outcome::Done && leased.is_of(lease) => {
                    outcome = Outcome::Cancelled;
                }
                _ => break old,
            }
        };
        let not_held = old.map_or(NotHeld::Stale, |conversation| conversation.not_held(id));
        // Which message a lease was for, the message alone remembers, also when later leases have ended since.
        let message = self.message(message, now, true).await?.filter(|m| was_ended_under(m, &leased));
        Ok(match message.map(|m| m.status) {
            Some(MessageStatus::Done) => Completed::Done,
            Some(MessageStatus::Cancelled) => Completed::Cancelled,
            _ => Completed::NotHeld(not_held),
        })
    }

    fn completion(
        &self,
        leased: &LeaseRef<'_>,
        message: &MessageId,
        with: &CompleteWith,
        outcome: Outcome,
        now: Timestamp,
        policies: &Policies,
    ) -> Transaction {
        let lease = leased.lease.parts();
        let settled = Settled { lease: leased.lease.clone(), outcome, recovered: false };
        let (is_cancelled, status, end) = match outcome {
            Outcome::Cancelled => {
                ("attribute_exists(#ls.#c)", MessageStatus::Cancelled, AttemptEnd::Cancelled)
            }
            _ => ("attribute_not_exists(#ls.#c)", MessageStatus::Done, AttemptEnd::Done),
        };
        let meta = leased
            .require(Update::of(keys::conversation(&lease.conversation)))
            .when(is_cancelled)
            .set("la", settled_item(&settled))
            .set("ac", now)
            .set_to("v", "#v + :one")
            .remove("ls")
            .bind(":one", 1_u64);
        let attempt = Attempt {
            fence: lease.fence,
            number: lease.attempt,
            worker: leased.worker.clone(),
            claimed_at: lease.claimed_at,
            ended_at: now,
            end,
            ended_by: EndedBy::Worker,
            error: None,
        };
        let mut ended = remember(Update::of(keys::message(message)), &attempt)
            .set("st", status.as_str())
            .set("da", now)
            .set("fe", lease.fence.0)
            .set_to("at", "if_not_exists(#at, :zero) + :one")
            .bind(":zero", 0_u64)
            .bind(":one", 1_u64)
            .set("ttl", forgotten_at(now, policies))
            .when("attribute_exists(#pk)");
        if let Some(reply) = &with.reply {
            ended = ended.set("re", reply.as_str());
        }
        if !with.metadata.is_empty() {
            ended = ended.set("dm", &with.metadata);
        }
        let mut transaction = self.transaction().update(meta).update(ended);
        for (i, entry) in with.history.iter().enumerate() {
            transaction = transaction.put(history_item(&Place::at_completion(&lease, i), entry));
        }
        if let Some(calls) = &with.pending_tool_calls {
            transaction = transaction.put(tool_calls_item(&lease.conversation, calls));
        }
        transaction
    }

    /// Gives a message back, or dead-letters it, as decided on `before`. A recovery also requires that the lease
    /// was not extended since; a failure comes from the holder, which knows what it says.
    ///
    /// # Errors
    /// When the table cannot answer; read again and decide again.
    pub async fn give_back_if_unchanged(
        &self,
        before: &Conversation,
        back: &GivenBack,
        recovered: bool,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<GiveBack, StoreError> {
        let Some(lease) = &before.lease else { return Ok(GiveBack::Stale) };
        let mut meta = change(before, &back.after, policies.queue.ready_shards)
            .when("#ls.#l = :lease")
            .bind(":lease", lease.id.as_str());
        if recovered {
            meta = meta.when("#ls.#ex = :expires").bind(":expires", lease.expires_at);
        }
        let transaction = returned(self.transaction().update(meta), before, lease, back, now, policies);
        let committed = self.commit(transaction).await?;
        Ok(match &committed {
            Committed::Done => GiveBack::Done,
            // The second write is the message's.
            Committed::Refused(refusals) if refusals.iter().all(|r| r.index == 1) => GiveBack::MessageMissing,
            Committed::Refused(_) => GiveBack::Stale,
        })
    }
}

/// The part of `transaction` that gives back the message of `lease`: it waits for its retry, is a dead letter with its
/// mark, or is cancelled.
pub(super) fn returned(
    transaction: Transaction,
    before: &Conversation,
    lease: &Lease,
    back: &GivenBack,
    now: Timestamp,
    policies: &Policies,
) -> Transaction {
    let id = &back.entry.message;
    let message = remember(Update::of(keys::message(id)), &given_back(lease, back, now))
        .set("er", back.error.as_str())
        .set("at", back.entry.attempts_counted())
        .when("attribute_exists(#pk)");
    let ended = |status: MessageStatus| {
        message.clone().set("st", status.as_str()).set("da", now).set("fe", before.fence.0)
    };
    match back.outcome {
        Outcome::DeadLettered => {
            let key = keys::dead_letter(id, now);
            let mark = Writer::default().put("pk", key.pk).put("sk", key.sk).put("cid", before.id.as_str());
            let dead = ended(MessageStatus::DeadLetter).set("am", back.entry.attempts_max);
            transaction.update(dead).put(mark.build())
        }
        Outcome::Cancelled => {
            transaction.update(ended(MessageStatus::Cancelled).set("ttl", forgotten_at(now, policies)))
        }
        Outcome::Done | Outcome::Requeued { .. } => transaction.update(message),
    }
}

/// When a message that ends now is forgotten, in seconds.
pub(super) fn forgotten_at(now: Timestamp, policies: &Policies) -> u64 {
    let kept = Millis::from_days(policies.queue.done_retention_days).max(policies.retention.dedupe);
    (now + kept).as_ttl()
}

/// Whether it was this worker that ended `message`, under this lease.
fn was_ended_under(message: &Message, leased: &LeaseRef<'_>) -> bool {
    let lease = leased.lease.parts();
    let fence = lease.fence;
    message.key == lease.conversation
        && message.fence == Some(fence)
        && message.attempt_log.iter().any(|a| a.fence == fence && &a.worker == leased.worker)
}

const fn completed(outcome: Outcome) -> Completed {
    match outcome {
        Outcome::Cancelled => Completed::Cancelled,
        Outcome::Done | Outcome::Requeued { .. } | Outcome::DeadLettered => Completed::Done,
    }
}
