//! What may become of a conversation's meta item.

use serde_json::Value;

use super::answers::End;
use super::{Broken, Judge};
use crate::clock::MAX_SKEW_MS;
use crate::queue::{Entry, Lease, Meta, meta};
use crate::tally::Event;
use crate::world::World;

/// A lease that is extended is decided a little before it is committed: by as much as clocks differ and requests are
/// held up.
const MAX_DECIDED_MS_BEFORE: u64 = 10_000;
/// How long after it was asked for a conversation may still be freed, ms: each of its tries may be held up and late.
const MAX_FREED_MS_AFTER: u64 = 60_000;
/// How often a claim may be answered again.
const MAX_REDELIVERIES: u64 = 3;

/// The latest claim of a conversation.
pub struct Claim {
    pub fence: u64,
    pub lease: Lease,
}

/// One change of one conversation.
struct Change {
    before: Meta,
    after: Meta,
}

impl Change {
    fn wrong<T>(&self, what: impl Into<String>) -> Result<T, String> {
        Err(format!("{}\n  before {:?}\n  after  {:?}", what.into(), self.before, self.after))
    }

    /// Whether something changed that decisions are made on; signs of life are not.
    fn is_of_substance(&self) -> bool {
        let of = |meta: &Meta| meta.lease.as_ref().map(|l| (l.id.clone(), l.cancelled));
        let Change { before, after } = self;
        before.pending != after.pending || of(before) != of(after) || before.owner != after.owner
    }

    /// Whether the conversation was taken from its owner while a message ran: only an operator does that.
    fn is_freed(&self) -> bool {
        self.before.lease.is_some() && self.before.owner.is_some() && self.after.owner.is_none()
    }
}

impl Judge {
    pub(super) fn conversation(&mut self, world: &World, change: &Value) -> Broken {
        let after = meta(&change["NewImage"]);
        let before = self.conversations.insert(after.key.clone(), after.clone()).unwrap_or_default();
        let change = Change { before, after };
        self.note_moved(&change);
        self.state(&change)?;
        match change.after.fence.checked_sub(change.before.fence) {
            Some(0) => self.no_claim(world, &change),
            Some(1) => self.claim(&change),
            _ => change.wrong("a fence that fell or jumped"),
        }
    }

    /// What holds of every conversation at all times.
    fn state(&self, change: &Change) -> Broken {
        let after = &change.after;
        if let Some(lease) = &after.lease {
            if after.owner.as_ref().is_none_or(|(worker, _)| *worker != lease.worker) {
                return change.wrong("a lease whose holder does not own the conversation");
            }
            if lease.entry.attempts - lease.entry.drained > lease.entry.max_attempts {
                return change.wrong("more attempts than allowed");
            }
            if lease.redeliveries > MAX_REDELIVERIES {
                return change.wrong("a claim that was answered too often");
            }
        }
        if after.owner.is_some() == after.in_index {
            return change.wrong("owned conversations, and only they, stand outside the ready index");
        }
        if after.pending.is_empty() != after.ready.is_none() {
            return change.wrong("a ready key without work, or work without a ready key");
        }
        if after.version < change.before.version {
            return change.wrong("a version that fell");
        }
        if after.version == change.before.version && change.is_of_substance() {
            return change.wrong("a change of queue, lease or owner under the same version");
        }
        // Written by whoever changed the queue last, under the policies that it knew.
        let shown_from = after.ready.as_ref().map(|r| r.strip_prefix("1#").map_or(0, |t| t.parse().unwrap()));
        let may_be_shown_from = |block: &bool| shown_from <= after.claimable_from(*block);
        if after.ready.is_some() && !self.policies.believed_ever().iter().any(may_be_shown_from) {
            return change.wrong("claimable before its ready key shows it");
        }
        Ok(())
    }

    fn note_moved(&mut self, Change { before, after }: &Change) {
        let moved = before.messages().chain(after.messages()).filter(|m| before.holds(m) != after.holds(m));
        self.moved.extend(moved.map(|m| (m.clone(), after.key.clone())));
    }

    fn claim(&mut self, change: &Change) -> Broken {
        let Change { before, after } = change;
        let Some(lease) = &after.lease else { return change.wrong("a new fence without a lease") };
        if before.lease.is_some() {
            return change.wrong("a claim over a lease that was in force");
        }
        if before.owner.as_ref().is_some_and(|(worker, active)| *worker != lease.worker || !active) {
            return change.wrong("a claim of what belongs to another, or to one who is leaving");
        }
        let beliefs = self.policies.believed_at(lease.claimed_at);
        let is_head = |block: &bool| {
            before.head(lease.claimed_at, *block).is_some_and(|h| h.message == lease.entry.message)
        };
        let Some(block) = beliefs.iter().find(|block| is_head(block)) else {
            return change.wrong(format!(
                "claimed out of order: the head was {:?}",
                before.head(lease.claimed_at, self.policies.retries_block())
            ));
        };
        self.count(if *block { Event::RetriesBlock } else { Event::RetriesOvertake });
        let rest: Vec<_> =
            before.pending.iter().filter(|e| e.message != lease.entry.message).cloned().collect();
        if after.pending != rest {
            return change.wrong("a claim that changed more of the queue than its head");
        }
        self.count(Event::Claimed);
        if before.pending.iter().any(|e| e.message == lease.entry.message && e.has_awaited_attachments()) {
            self.count(Event::WentOnWithoutAttachments);
        }
        let claims = self.claimed.entry(lease.entry.message.clone()).or_default();
        *claims += 1;
        if *claims != lease.entry.attempts {
            return change.wrong(format!("{claims} claims, but {} attempts counted", lease.entry.attempts));
        }
        if *claims > 1 {
            self.count(Event::Retried);
        }
        self.drained.insert(lease.entry.message.clone(), lease.entry.drained);
        let claim = Claim { fence: after.fence, lease: lease.clone() };
        self.latest.insert(after.key.clone(), claim);
        Ok(())
    }

    fn no_claim(&mut self, world: &World, change: &Change) -> Broken {
        match (&change.before.lease, &change.after.lease) {
            (None, Some(_)) => change.wrong("a lease without a new fence"),
            (Some(old), Some(new)) if old.id != new.id || old.entry != new.entry => {
                change.wrong("a lease that became another")
            }
            (Some(old), Some(new)) if old.cancelled && !new.cancelled => {
                change.wrong("a cancellation that was taken back")
            }
            (Some(old), Some(new)) if new.expires_at + MAX_DECIDED_MS_BEFORE < old.expires_at => {
                change.wrong("a lease cut short")
            }
            (Some(old), None) => self.end(world, change, old),
            (old, new) => {
                if new.as_ref().map(|l| l.redeliveries) > old.as_ref().map(|l| l.redeliveries) {
                    self.count(Event::Redelivered);
                }
                if new.as_ref().is_some_and(|l| l.cancelled) && old.as_ref().is_some_and(|l| !l.cancelled) {
                    self.count(Event::CancelledRunning);
                }
                changed_without_claim(change)
            }
        }
    }

    /// A lease ends: its message is gone from the conversation, or back in front of all that waits.
    fn end(&mut self, world: &World, change: &Change, old: &Lease) -> Broken {
        let Change { before, after } = change;
        let Some(last) = after.last.as_ref().filter(|l| l.lease == old.id) else {
            return change.wrong("a lease that ended without a trace");
        };
        let (front, rest) = match last.outcome.as_str() {
            "requeued" => (after.pending.first(), after.pending.get(1..).unwrap_or_default()),
            _ => (None, &after.pending[..]),
        };
        if rest != &before.pending[..] {
            return change.wrong("an end that changed what waits");
        }
        if last.outcome == "requeued"
            && front.is_none_or(|e| e.message != old.entry.message || e.attempts != old.entry.attempts)
        {
            return change.wrong("a message that came back with another count of attempts");
        }
        if old.cancelled != (last.outcome == "cancelled") {
            return change.wrong("an end that did not heed that its message was cancelled, or made it up");
        }
        if let Some(front) = front {
            self.drained.insert(front.message.clone(), front.drained);
        }
        if change.is_freed() {
            self.freed(world, change, old)?;
        } else if last.recovered {
            self.count(Event::Recovered);
            if !self.may_be_recovered(world, old) {
                return change.wrong(format!("a lease in force was recovered at {}", self.now));
            }
        }
        self.ended.insert(old.id.clone(), End { by: self.now, outcome: last.outcome.clone() });
        Ok(())
    }

    /// A lease is ended together with its ownership when an operator has asked for that, of this claim or of any.
    fn freed(&mut self, world: &World, change: &Change, old: &Lease) -> Broken {
        let Change { before, after } = change;
        let last = after.last.as_ref().filter(|l| l.recovered);
        let Some(last) = last else { return change.wrong("a lease that was freed in its holder's name") };
        let asked = world.answers.freeing.lock().unwrap().iter().any(|asked| {
            asked.conversation == after.key
                && asked.fence.is_none_or(|fence| fence == before.fence)
                && (asked.at..asked.at + MAX_FREED_MS_AFTER).contains(&self.now)
        });
        if !asked {
            return change.wrong(format!("a lease was freed at {}, and nobody had asked for it", self.now));
        }
        self.count(Event::Freed);
        self.freed.push((after.key.clone(), old.entry.message.clone(), last.outcome.clone()));
        Ok(())
    }

    /// A lease may be taken away when it has expired, its machine is gone, or its time to drain is over.
    fn may_be_recovered(&self, world: &World, lease: &Lease) -> bool {
        let over = |at: u64| at <= self.now + MAX_SKEW_MS;
        let drained = |row: &crate::queue::Row| row.status != "active" && over(row.drain_by);
        over(lease.expires_at)
            || !world.provider.has(&lease.worker)
            || self.workers.get(&lease.worker).is_none_or(drained)
    }
}

/// Without a claim or an end, a queue does not change, takes one more at its end, loses one that is cancelled, or has one
/// that waits for its attachments no more; that this is what became of it is judged with its message.
fn changed_without_claim(change: &Change) -> Broken {
    let (before, after) = (&change.before.pending, &change.after.pending);
    match after.strip_prefix(&before[..]) {
        Some([]) => return Ok(()),
        Some([new]) if new.attempts == 0 => return Ok(()),
        _ => {}
    }
    let gone = before.iter().zip(after).position(|(b, a)| b != a).unwrap_or(after.len());
    let mut rest = before.clone();
    if gone < rest.len() {
        rest.remove(gone);
    }
    if rest == *after && rest.len() < before.len() {
        return Ok(());
    }
    if let Some(awaited) = before.get(gone).filter(|e| e.has_awaited_attachments()) {
        rest.insert(gone, Entry { not_before: 0, ..awaited.clone() });
        if rest == *after {
            return Ok(());
        }
    }
    change.wrong("a queue that changed without a claim")
}
