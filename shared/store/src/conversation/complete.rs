//! Complete: the write that ends a lease with success.

use std::collections::BTreeMap;

use af_domain::attempt::{Attempt, AttemptEnd, EndedBy};
use af_domain::conversation::{EndedLease, LeaseError, Outcome};
use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::message::{HistoryEntry, Message, MessageStatus, PendingToolCall, Reply};
use af_domain::outbox::{Delivery, DeliveryState, MAX_ENTRIES};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use af_domain::usage::Usage;

use super::history::{EntryPosition, count_entries, history_item, tool_calls_item};
use super::item::{conversation_from, ended_lease_item};
use super::lease_ref::LeaseRef;
use crate::attempt::with_attempt;
use crate::expression::Update;
use crate::message::ended_message_ttl;
use crate::outbox::{NewEntry, appended, encode_delivery};
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
    pub reply: Option<Reply>,
    /// The reply's place in the outbox of its chat, if this system delivers it.
    pub delivery: Option<NewEntry>,
    /// What the attempt has used, as its worker reports it.
    pub usage: Option<Usage>,
}

/// How a lease ends with success.
#[derive(Clone, Copy)]
struct Ending {
    /// Whether the message is done or was cancelled.
    outcome: Outcome,
    /// Whether the outbox of the reply's chat has no room.
    outbox_is_full: bool,
}

impl Ending {
    /// The entry for the outbox. The reply to a cancelled message is not delivered.
    fn appends(self, with: &CompleteWith) -> Option<&NewEntry> {
        with.delivery.as_ref().filter(|_| self.outcome == Outcome::Done && !self.outbox_is_full)
    }

    /// What becomes of the reply.
    fn delivery(self, with: &CompleteWith) -> Option<Delivery> {
        let new = with.delivery.as_ref().filter(|_| self.outcome == Outcome::Done)?;
        Some(if self.outbox_is_full {
            let reason = format!("{MAX_ENTRIES} messages wait for this chat");
            Delivery::given_up(&new.chat, &new.entry, DeliveryState::Failed, reason)
        } else {
            Delivery::waiting(new.chat.clone())
        })
    }
}

/// The number of the outbox's write in the transaction of a completion.
const OUTBOX_WRITE: usize = 2;

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
        let mut ending = Ending { outcome: Outcome::Done, outbox_is_full: false };
        let old = loop {
            let committed = self.commit(self.completion(&held, message, with, ending, now, policies)).await?;
            if committed.is_done() {
                let is_cancelled = ending.outcome == Outcome::Cancelled;
                return Ok(if is_cancelled { Completed::Cancelled } else { Completed::Done });
            }
            if committed.failed_condition(0).is_none() && committed.failed_condition(OUTBOX_WRITE).is_some() {
                ending.outbox_is_full = true;
                continue;
            }
            let old = committed.old_item(0).map(conversation_from).transpose()?;
            let lease = old.as_ref().and_then(|c| c.lease.as_ref()).filter(|l| &l.id == id);
            match lease {
                Some(lease) if lease.cancelled && ending.outcome == Outcome::Done && held.matches(lease) => {
                    ending.outcome = Outcome::Cancelled;
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
        ending: Ending,
        now: Timestamp,
        policies: &Policies,
    ) -> Transaction {
        let lease = held.lease.parts();
        let settled = EndedLease { lease: held.lease.clone(), outcome: ending.outcome, recovered: false };
        let (is_cancelled, status, end) = match ending.outcome {
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
        let meta = count_entries(meta, 0, with.history.len() as u64);
        let attempt = Attempt {
            fence: lease.fence,
            number: lease.attempt,
            worker: held.worker.clone(),
            claimed_at: lease.claimed_at,
            ended_at: now,
            end,
            ended_by: EndedBy::Worker,
            error: None,
            usage: with.usage.clone(),
        };
        let ended = with_attempt(Update::of(keys::message(message)), &attempt)
            .set("st", status.as_str())
            .set("da", now)
            .set("fe", lease.fence.0)
            .set_to("at", "if_not_exists(#at, :zero) + :one")
            .bind(":zero", 0_u64)
            .bind(":one", 1_u64)
            .set("ttl", ended_message_ttl(now, policies))
            .set_some("re", with.reply.as_ref().map(|reply| reply.text.as_str()))
            .set_some("rf", with.reply.as_ref().map(|reply| reply.format.as_str()))
            .set_some("dl", ending.delivery(with).as_ref().map(encode_delivery))
            .set_some("dm", Some(&with.metadata).filter(|metadata| !metadata.is_empty()))
            .when("attribute_exists(#pk)");
        let mut transaction = self.transaction().update(meta).update(ended);
        if let Some(new) = ending.appends(with) {
            transaction = transaction.update(appended(new));
        }
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
