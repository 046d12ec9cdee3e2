//! What may become of a message, its dead-letter mark, and the history that its attempts leave.

use serde_json::Value;

use super::{Broken, Judge};
use crate::queue::{Message, message};
use crate::tally::Event;

impl Judge {
    pub(super) fn message(&mut self, change: &Value) -> Broken {
        let id = change["Keys"]["pk"]["S"].as_str().unwrap().trim_start_matches("M#").to_owned();
        let after = message(&change["NewImage"]);
        self.moved.insert((id.clone(), after.conversation.clone()));
        let before = self.messages.insert(id.clone(), after.clone());
        if let Some(before) = &before
            && before.awaits_attachments != after.awaits_attachments
        {
            let settled = Message { awaits_attachments: false, ..before.clone() };
            return match settled == after {
                true => Ok(()),
                false => Err(format!("the attachments of {id} were settled with something else")),
            };
        }
        if let Some(before) = &before {
            self.step(&id, before, &after)?;
            if change["OldImage"].is_null() || (after.status == "queued" && after.error.is_none()) {
                return Err(format!("{id} was accepted again over itself"));
            }
            let claims = self.claimed.get(&id).copied().unwrap_or_default();
            let drained = self.drained.get(&id).copied().unwrap_or_default();
            // One that a drain cuts off and that ends so, because it was cancelled, does not count either.
            let uncounted =
                if after.status == "cancelled" { drained..=drained + 1 } else { drained..=drained };
            if !uncounted.contains(&claims.saturating_sub(after.attempts)) || after.attempts > claims {
                return Err(format!(
                    "{id} counts {} attempts after {claims} claims, {drained} of them cut off",
                    after.attempts
                ));
            }
        }
        match after.status.as_str() {
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

    /// The steps of a message: what is queued waits, runs or ends; a dead letter is retried or cancelled; nothing else
    /// comes after an end.
    fn step(&mut self, id: &str, before: &Message, after: &Message) -> Broken {
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
            (before, after) => Err(format!("{id} was {before} and became {after}")),
        }
    }

    /// What is queued waits or runs, once; nothing else does; and a dead letter has its mark. Judged when all of a
    /// transaction has been seen.
    pub(super) fn places(&mut self) -> Broken {
        for (id, conversation) in std::mem::take(&mut self.moved) {
            let Some(message) = self.messages.get(&id) else {
                return Err(format!("{conversation} names {id}, which does not exist"));
            };
            let places = self.conversations.get(&message.conversation).map_or(0, |c| c.holds(&id));
            let is_queued = message.status == "queued";
            if message.conversation != conversation || places != usize::from(is_queued) {
                return Err(format!(
                    "{id} is {} and stands {places} times in {conversation}",
                    message.status
                ));
            }
            if (message.status == "dead_letter") != self.marked.contains(&id) {
                return Err(format!("{id} is {}, its dead-letter mark says otherwise", message.status));
            }
        }
        Ok(())
    }

    fn ended_by_its_lease(&self, id: &str, after: &Message) -> Broken {
        let (latest, fence) = (self.latest.get(&after.conversation), after.fence);
        if latest.is_some_and(|c| c.fence == fence && c.lease.entry.message == id) {
            return Ok(());
        }
        let leased = latest.map(|c| (&c.lease, c.fence));
        Err(format!("{id} ended under fence {fence}, but leased was {leased:?}"))
    }

    /// A mark is written with what it marks; the message's own change comes just before it.
    pub(super) fn dead_letter_mark(&mut self, mark: &str, change: &Value) -> Broken {
        let id = mark.split_once('#').map(|(_, id)| id.to_owned()).unwrap();
        if let Some(message) = self.messages.get(&id) {
            self.moved.insert((id.clone(), message.conversation.clone()));
        }
        if change["NewImage"].is_null() {
            self.marked.remove(&id);
            return Ok(());
        }
        if self.messages.get(&id).is_none_or(|m| m.status != "dead_letter") {
            return Err(format!("{id} is marked as a dead letter and is none"));
        }
        self.marked.insert(id);
        Ok(())
    }

    /// History is written by the attempt that runs, or with its end, and stands under the fence of its claim.
    pub(super) fn history_entry(&mut self, conversation: &str, place: &str, image: &Value) -> Broken {
        let Some(fence) = place.strip_prefix("H#").and_then(|p| p.split('#').next()) else { return Ok(()) };
        let fence: u64 = fence.parse().map_err(|_| format!("{conversation} got {place}"))?;
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
                Err(format!("{conversation} got {place} of {first}, but what ran was {lease:?}"))
            }
        }
    }
}
