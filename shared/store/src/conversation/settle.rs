//! Complete, fail and recover: what ends a lease.

use std::collections::BTreeMap;

use af_domain::conversation::{Conversation, GivenBack, NotHeld, Outcome, Settled};
use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::message::{HistoryEntry, MessageStatus, PendingToolCall};
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};

use super::history::{Place, history_item, tool_calls_item};
use super::item::{change, conversation_from, settled_item};
use super::{Commit, Held};
use crate::expression::Update;
use crate::item::Writer;
use crate::write::Committed;
use crate::{Store, StoreError, keys};

/// Most characters of an error in the record of its attempt. The last error is kept longer; of a hundred attempts all
/// records must fit into the message's item, or it could neither wait for its retry nor end.
const ATTEMPT_ERROR_CHARS_MAX: usize = 200;

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
    /// The lease is not in force; nothing was written.
    NotHeld(NotHeld),
}

impl Store {
    /// Completes the message of a lease and appends to the history, in one transaction without a prior read.
    ///
    /// # Errors
    /// When the table cannot answer; a completion sent again answers `Done`.
    pub async fn complete_if_leased(
        &self,
        id: &LeaseId,
        message: &MessageId,
        worker: &WorkerId,
        with: &CompleteWith,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Completed, StoreError> {
        let held = Held { lease: id, message: Some(message), worker };
        let lease = id.parts();
        let (key, fence) = (&lease.conversation, lease.fence);
        let settled = Settled { lease: id.clone(), outcome: Outcome::Done, recovered: false };
        let meta = held
            .require(Update::of(keys::conversation(key)))
            .set("la", settled_item(&settled))
            .set("ac", now)
            .set_to("v", "#v + :one")
            .remove("ls")
            .bind(":one", 1_u64);
        let kept = Millis::from_days(policies.queue.done_retention_days).max(policies.retention.dedupe);
        let mut done = Update::of(keys::message(message))
            .set("st", "done")
            .set("da", now)
            .set("fe", fence.0)
            .set_to("at", "if_not_exists(#at, :zero) + :one")
            .bind(":zero", 0_u64)
            .bind(":one", 1_u64)
            .set("ttl", (now + kept).as_ttl())
            .when("attribute_exists(#pk)");
        if let Some(reply) = &with.reply {
            done = done.set("re", reply.as_str());
        }
        if !with.metadata.is_empty() {
            done = done.set("dm", &with.metadata);
        }
        let mut transaction = self.transaction().update(meta).update(done);
        for (i, entry) in with.history.iter().enumerate() {
            transaction = transaction.put(history_item(&Place::at_completion(&lease, i), entry));
        }
        if let Some(calls) = &with.pending_tool_calls {
            transaction = transaction.put(tool_calls_item(key, calls));
        }
        let committed = self.commit(transaction).await?;
        if committed.is_done() {
            return Ok(Completed::Done);
        }
        let old = committed.refusal(0).and_then(|r| r.old.as_ref());
        let not_held = match old.map(conversation_from).transpose()? {
            Some(conversation) => conversation.not_held(id),
            None => NotHeld::Stale,
        };
        if not_held == NotHeld::Settled(Outcome::Done) {
            return Ok(Completed::Done);
        }
        // A later lease may have overwritten `la`: the message itself remembers the fence that ended it.
        match self.message(message, now, true).await? {
            Some(m) if m.status == MessageStatus::Done && m.fence == Some(fence) => Ok(Completed::Done),
            _ => Ok(Completed::NotHeld(not_held)),
        }
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
    ) -> Result<Commit, StoreError> {
        let Some(lease) = &before.lease else { return Ok(Commit::Stale) };
        let mut meta = change(before, &back.after, policies.queue.ready_shards)
            .when("#ls.#l = :lease")
            .bind(":lease", lease.id.as_str());
        if recovered {
            meta = meta.when("#ls.#ex = :expires").bind(":expires", lease.expires_at);
        }
        let dead = back.outcome == Outcome::DeadLettered;
        let attempt = attempt_record(back, &lease.worker, now);
        let mut message = Update::of(keys::message(&back.entry.message))
            .set("er", back.error.as_str())
            .set("at", back.entry.attempts_counted())
            .set_to("ats", "list_append(if_not_exists(#ats, :none), :attempt)")
            .bind(":none", Vec::<String>::new())
            .bind(":attempt", vec![attempt])
            .when("attribute_exists(#pk)");
        if dead {
            message = message.set("st", "dead_letter").set("da", now).set("fe", before.fence.0);
        }
        let mut transaction = self.transaction().update(meta).update(message);
        if dead {
            let key = keys::dead_letter(&back.entry.message, now);
            let mark = Writer::default().put("pk", key.pk).put("sk", key.sk).put("cid", before.id.as_str());
            transaction = transaction.put(mark.build());
        }
        let committed = self.commit(transaction).await?;
        if committed.is_done() {
            return Ok(Commit::Done);
        }
        match &committed {
            Committed::Refused(refusals) if refusals.iter().all(|r| r.index == 1) => {
                Err(StoreError::malformed(
                    back.entry.message.as_str(),
                    "a conversation names this message, but it does not exist",
                ))
            }
            _ => Ok(Commit::Stale),
        }
    }
}

/// One attempt that ended without success: `<attempt>|<time>|<worker>|<error>`, the error cut short.
fn attempt_record(back: &GivenBack, worker: &WorkerId, now: Timestamp) -> String {
    let error: String = back.error.chars().take(ATTEMPT_ERROR_CHARS_MAX).collect();
    format!("{}|{now}|{worker}|{error}", back.entry.attempts)
}
