//! The allowed changes of a message, of its dead-letter mark, and of the history that its attempts write.

use serde_json::Value;

use super::{Check, Judge};
use crate::queue::{Message, message};
use crate::tally::Event;

/// Whether the message still waits, and at most its text and its files have changed: an edit, or one more file of an album.
fn is_revision(before: &Message, after: &Message) -> bool {
    let (files, awaits_attachments) = (after.files, after.awaits_attachments);
    let is_result = before.awaits_attachments && !awaits_attachments && before.files == files;
    let revised = Message { files, awaits_attachments, ..before.clone() };
    !is_result && after.status == "queued" && revised == *after
}

impl Judge {
    pub(super) fn message(&mut self, change: &Value) -> Check {
        let id = change["Keys"]["pk"]["S"].as_str().unwrap().trim_start_matches("M#").to_owned();
        let after = message(&change["NewImage"]);
        self.moved.insert((id.clone(), after.conversation.clone()));
        let before = self.messages.insert(id.clone(), after.clone());
        self.note_ended(&id, &after);
        if before.as_ref().is_some_and(|before| is_revision(before, &after)) {
            return Ok(());
        }
        if let Some(before) = &before
            && before.awaits_attachments != after.awaits_attachments
        {
            let expected = Message { awaits_attachments: false, ..before.clone() };
            return match expected == after {
                true => Ok(()),
                false => Err(format!("storing the attachments of {id} changed another field")),
            };
        }
        if let Some(before) = &before {
            self.step(&id, before, &after)?;
            if change["OldImage"].is_null() || (after.status == "queued" && after.error.is_none()) {
                return Err(format!("{id} was accepted again and replaced the stored message"));
            }
            let claims = self.claimed.get(&id).copied().unwrap_or_default();
            let drained = self.drained.get(&id).copied().unwrap_or_default();
            // When a drain interrupts the attempt of a cancelled message, this attempt does not count either.
            let uncounted =
                if after.status == "cancelled" { drained..=drained + 1 } else { drained..=drained };
            if !uncounted.contains(&claims.saturating_sub(after.attempts)) || after.attempts > claims {
                return Err(format!(
                    "{id} counts {} attempts after {claims} claims, a drain interrupted {drained} of them",
                    after.attempts
                ));
            }
        }
        self.run_timeout(&id, before.as_ref(), &after)?;
        match after.status.as_str() {
            "done" if before.as_ref().is_some_and(|before| before.status == "done") => Ok(()),
            "done" => {
                self.count(Event::Done);
                self.ended_by_its_lease(&id, &after)
            }
            "dead_letter" => {
                self.count(Event::DeadLettered);
                self.ended_by_its_lease(&id, &after)
            }
            _ => Ok(()),
        }
    }

    /// The allowed status changes: a queued message may get any status, a dead letter is retried or cancelled, and no
    /// other final status changes.
    fn step(&mut self, id: &str, before: &Message, after: &Message) -> Check {
        match (before.status.as_str(), after.status.as_str()) {
            ("queued", "cancelled") if after.fence > 0 => {
                self.count(Event::EndedCancelled);
                self.ended_by_its_lease(id, after)
            }
            ("queued", "cancelled") => {
                self.count(Event::CancelledWaiting);
                Ok(())
            }
            ("queued", _) => Ok(()),
            ("dead_letter", "cancelled") => {
                self.count(Event::CancelledDead);
                Ok(())
            }
            ("dead_letter", "queued") => {
                self.count(Event::RetriedByOperator);
                self.claimed.remove(id);
                self.drained.remove(id);
                self.retried.insert(id.to_owned());
                let call = after.retried_by.as_ref().map(|call| (id.to_owned(), call.clone()));
                match call.is_none_or(|call| self.retries.insert(call)) {
                    true => Ok(()),
                    false => Err(format!("{id} was retried twice by one call")),
                }
            }
            // The delivery of the reply ends after its message.
            ("done", "done") if before.delivery.is_some() && before.delivery != after.delivery => Ok(()),
            (before, after) => Err(format!("the status of {id} changed from {before} to {after}")),
        }
    }

    /// A queued message waits or runs in exactly one place, other messages in none, and exactly the dead letters have a
    /// mark. The check runs after all records of a transaction have been read.
    pub(super) fn check_locations(&mut self) -> Check {
        for (id, conversation) in std::mem::take(&mut self.moved) {
            let Some(message) = self.messages.get(&id) else {
                return Err(format!("{conversation} names {id}, which does not exist"));
            };
            let locations = self.conversations.get(&message.conversation).map_or(0, |c| c.holds(&id));
            let is_queued = message.status == "queued";
            if message.conversation != conversation || locations != usize::from(is_queued) {
                return Err(format!("{id} is {} and is {locations} times in {conversation}", message.status));
            }
            if (message.status == "dead_letter") != self.marked.contains(&id) {
                return Err(format!(
                    "{id} is {}, which does not agree with its dead-letter mark",
                    message.status
                ));
            }
        }
        Ok(())
    }

    /// A run that has reached its limit ends its message: a retry would block the conversation for as long again. A run
    /// ends so only after the limit.
    fn run_timeout(&self, id: &str, before: Option<&Message>, after: &Message) -> Check {
        let timed_out = |m: &Message| m.error.as_deref().is_some_and(|e| e.starts_with("run_timeout"));
        if !timed_out(after) || before.is_some_and(timed_out) {
            return Ok(());
        }
        self.count(Event::RunTimedOut);
        if !matches!(after.status.as_str(), "dead_letter" | "cancelled") {
            return Err(format!("the run of {id} timed out, but the message is {after:?}"));
        }
        match self.latest.get(&after.conversation).is_some_and(|claim| self.may_time_out(&claim.lease)) {
            true => Ok(()),
            false => Err(format!("the run of {id} timed out at {}, before its limit: {after:?}", self.now)),
        }
    }

    fn ended_by_its_lease(&self, id: &str, after: &Message) -> Check {
        let (latest, fence) = (self.latest.get(&after.conversation), after.fence);
        if latest.is_some_and(|c| c.fence == fence && c.lease.entry.message == id) {
            return Ok(());
        }
        let leased = latest.map(|c| (&c.lease, c.fence));
        Err(format!("{id} ended under fence {fence}, but the latest lease was {leased:?}"))
    }

    /// A mark is written in the same transaction as its message. The record of the message comes just before it.
    pub(super) fn dead_letter_mark(&mut self, mark: &str, change: &Value) -> Check {
        let id = mark.split_once('#').map(|(_, id)| id.to_owned()).unwrap();
        if let Some(message) = self.messages.get(&id) {
            self.moved.insert((id.clone(), message.conversation.clone()));
        }
        if change["NewImage"].is_null() {
            self.marked.remove(&id);
            return Ok(());
        }
        if self.messages.get(&id).is_none_or(|m| m.status != "dead_letter") {
            return Err(format!("{id} has a dead-letter mark, but is no dead letter"));
        }
        self.marked.insert(id);
        Ok(())
    }

    /// A running attempt writes history, also with its end. The entries have the fence of its claim.
    pub(super) fn history_entry(&mut self, conversation: &str, sort_key: &str, image: &Value) -> Check {
        let Some(fence) = sort_key.strip_prefix("H#").and_then(|p| p.split('#').next()) else {
            return Ok(());
        };
        let fence: u64 = fence.parse().map_err(|_| format!("{conversation} got {sort_key}"))?;
        let first = image["ff"]["N"].as_str().map_or(fence, |first| first.parse().unwrap());
        let meta = &self.conversations[conversation];
        let claim = self.latest.get(conversation).filter(|c| {
            let running = meta.lease.as_ref().is_some_and(|l| l.id == c.lease.id);
            let completed = |o: &str| matches!(o, "done" | "cancelled");
            let ended = meta.last.as_ref().is_some_and(|l| l.lease == c.lease.id && completed(&l.outcome));
            running || ended
        });
        match claim {
            Some(claim) if (claim.fence, claim.lease.entry.first_fence) == (fence, first) => {
                self.appended.insert(claim.lease.id.clone());
                Ok(())
            }
            claim => {
                let lease = claim.map(|c| &c.lease);
                Err(format!("{conversation} got {sort_key} of {first}, but the running lease was {lease:?}"))
            }
        }
    }
}
