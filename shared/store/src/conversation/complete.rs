//! Complete: the write that ends a lease with success.

use std::collections::BTreeMap;

use af_domain::attempt::{Attempt, AttemptEnd, EndedBy};
use af_domain::conversation::{EndedLease, LeaseError, Outcome};
use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::message::{HistoryEntry, Message, MessageStatus, PendingToolCall};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;

use super::history::{EntryPosition, history_item, tool_calls_item};
use super::item::{conversation_from, ended_lease_item};
use super::lease_ref::LeaseRef;
use crate::attempt::with_attempt;
use crate::expression::Update;
use crate::message::ended_message_ttl;
use crate::write::Transaction;
use crate::{Result, Store, keys};

/// The content of a completion.
#[derive(Debug, Clone)]
pub struct CompleteWith {
    /// Entries for the history of the conversation.
    pub history: Vec<HistoryEntry>,
    /// The new pending tool calls of the conversation; `None` keeps the current ones.
    pub pending_tool_calls: Option<Vec<PendingToolCall>>,
    /// Merged into the metadata of the message.
    pub metadata: BTreeMap<String, String>,
    /// The reply of the agent.
    pub reply: Option<String>,
}

/// The result of a completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completed {
    /// The message is done, by this call or an earlier attempt of it.
    Done,
    /// The message was cancelled while it ran, and has ended as cancelled.
    Cancelled,
    /// The lease is not in force; nothing was written.
    LeaseLost(LeaseError),
}

impl Store {
    /// Completes the message of a lease and appends to the history, in one transaction without a prior read. A
    /// message that was cancelled in between ends as cancelled, with the reply of its agent. A repeated
    /// completion gets the same answer.
    pub async fn complete_if_leased(
        &self,
        id: &LeaseId,
        message: &MessageId,
        worker: &WorkerId,
        with: &CompleteWith,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Completed> {
        let held = LeaseRef { lease: id, message: Some(message), worker };
        let mut outcome = Outcome::Done;
        let old = loop {
            let committed =
                self.commit(self.completion(&held, message, with, outcome, now, policies)).await?;
            if committed.is_done() {
                let is_cancelled = outcome == Outcome::Cancelled;
                return Ok(if is_cancelled { Completed::Cancelled } else { Completed::Done });
            }
            let old = committed.old_item(0).map(conversation_from).transpose()?;
            let lease = old.as_ref().and_then(|c| c.lease.as_ref()).filter(|l| &l.id == id);
            match lease {
                Some(lease) if lease.cancelled && outcome == Outcome::Done && held.matches(lease) => {
                    outcome = Outcome::Cancelled;
                }
                _ => break old,
            }
        };
        let lease_error = old.map_or(LeaseError::Stale, |conversation| conversation.lease_error(id));
        // Only the message records which lease ended it, even if later leases have ended since.
        let message = self.message(message, now, true).await?.filter(|m| was_ended_under(m, &held));
        Ok(match message.map(|m| m.status) {
            Some(MessageStatus::Done) => Completed::Done,
            Some(MessageStatus::Cancelled) => Completed::Cancelled,
            _ => Completed::LeaseLost(lease_error),
        })
    }

    fn completion(
        &self,
        held: &LeaseRef<'_>,
        message: &MessageId,
        with: &CompleteWith,
        outcome: Outcome,
        now: Timestamp,
        policies: &Policies,
    ) -> Transaction {
        let lease = held.lease.parts();
        let settled = EndedLease { lease: held.lease.clone(), outcome, recovered: false };
        let (is_cancelled, status, end) = match outcome {
            Outcome::Cancelled => {
                ("attribute_exists(#ls.#c)", MessageStatus::Cancelled, AttemptEnd::Cancelled)
            }
            _ => ("attribute_not_exists(#ls.#c)", MessageStatus::Done, AttemptEnd::Done),
        };
        let meta = held
            .update()
            .when(is_cancelled)
            .set("la", ended_lease_item(&settled))
            .set("ac", now)
            .set_to("v", "#v + :one")
            .remove("ls")
            .bind(":one", 1_u64);
        let attempt = Attempt {
            fence: lease.fence,
            number: lease.attempt,
            worker: held.worker.clone(),
            claimed_at: lease.claimed_at,
            ended_at: now,
            end,
            ended_by: EndedBy::Worker,
            error: None,
        };
        let ended = with_attempt(Update::of(keys::message(message)), &attempt)
            .set("st", status.as_str())
            .set("da", now)
            .set("fe", lease.fence.0)
            .set_to("at", "if_not_exists(#at, :zero) + :one")
            .bind(":zero", 0_u64)
            .bind(":one", 1_u64)
            .set("ttl", ended_message_ttl(now, policies))
            .set_some("re", with.reply.as_deref())
            .set_some("dm", Some(&with.metadata).filter(|metadata| !metadata.is_empty()))
            .when("attribute_exists(#pk)");
        let mut transaction = self.transaction().update(meta).update(ended);
        for (i, entry) in with.history.iter().enumerate() {
            transaction = transaction.put(history_item(&EntryPosition::at_completion(&lease, i), entry));
        }
        if let Some(calls) = &with.pending_tool_calls {
            transaction = transaction.put(tool_calls_item(&lease.conversation, calls));
        }
        transaction
    }
}

/// Whether this worker ended `message` under this lease.
fn was_ended_under(message: &Message, held: &LeaseRef<'_>) -> bool {
    let lease = held.lease.parts();
    let fence = lease.fence;
    message.key == lease.conversation
        && message.fence == Some(fence)
        && message.attempt_log.iter().any(|a| a.fence == fence && &a.worker == held.worker)
}
