//! What may become of a message, its dead-letter mark, and the history that its attempts leave.

use serde_json::Value;

use super::{Broken, Judge};
use crate::queue::message;
use crate::tally::Event;

impl Judge {
    pub(super) fn message(&mut self, change: &Value) -> Broken {
        let id = change["Keys"]["pk"]["S"].as_str().unwrap().trim_start_matches("M#").to_owned();
        let after = message(&change["NewImage"]);
        let before = self.messages.insert(id.clone(), after.clone());
        if let Some(before) = &before {
            if before.status != "queued" {
                return Err(format!("{id} was {} and became {}", before.status, after.status));
            }
            if change["OldImage"].is_null() || (after.status == "queued" && after.error.is_none()) {
                return Err(format!("{id} was accepted again over itself"));
            }
            let claims = self.claimed.get(&id).copied().unwrap_or_default();
            if after.attempts != claims {
                return Err(format!("{id} counts {} attempts after {claims} claims", after.attempts));
            }
        }
        match after.status.as_str() {
            "done" => {
                self.count(Event::Done);
                self.ended_by_its_lease(&id, after.fence, change)
            }
            "dead_letter" => {
                self.count(Event::DeadLettered);
                self.ended_by_its_lease(&id, after.fence, change)
            }
            _ => Ok(()),
        }
    }

    fn ended_by_its_lease(&self, id: &str, fence: u64, change: &Value) -> Broken {
        let latest = self.latest.get(change["NewImage"]["lp"]["S"].as_str().unwrap());
        if latest.is_some_and(|c| c.fence == fence && c.lease.entry.message == id) {
            return Ok(());
        }
        let leased = latest.map(|c| (&c.lease, c.fence));
        Err(format!("{id} ended under fence {fence}, but leased was {leased:?}"))
    }

    /// A mark is written with what it marks; the message's own change comes just before it.
    pub(super) fn dead_letter_mark(&mut self, mark: &str, change: &Value) -> Broken {
        let id = mark.split_once('#').map(|(_, id)| id.to_owned()).unwrap();
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
