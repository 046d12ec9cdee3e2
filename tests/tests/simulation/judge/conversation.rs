//! The allowed changes of a conversation's meta item.

use af_domain::attachment::ALBUM_WAIT;
use serde_json::Value;

use super::answers::End;
use super::{Check, Judge};
use crate::clock::MAX_SKEW_MS;
use crate::queue::{Entry, Lease, Meta, meta};
use crate::tally::Event;
use crate::world::{AGENT, MAX_RUN, World};

/// Longest time between the decision to extend a lease and the write of the extension: clocks differ, and requests are
/// delayed.
const MAX_EXTENSION_DELAY_MS: u64 = 10_000;
/// How long after an operator's request a conversation may still be freed, ms: each try may be delayed or late.
const MAX_FREEING_DELAY_MS: u64 = 60_000;
/// How long after the limit of its run a lease may still be extended, ms. A concurrent change of the conversation may
/// overtake the end of the run, which the next heartbeat repeats.
const MAX_RUN_EXCESS_MS: u64 = 60_000;
/// Limit of the redeliveries of one claim.
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
    fn violation<T>(&self, text: impl Into<String>) -> Result<T, String> {
        Err(format!("{}\n  before {:?}\n  after  {:?}", text.into(), self.before, self.after))
    }

    /// Whether queue, lease or owner changed. Calls decide on these, and not on signs of life.
    fn needs_a_new_version(&self) -> bool {
        let of = |meta: &Meta| meta.lease.as_ref().map(|l| (l.id.clone(), l.cancelled));
        let Change { before, after } = self;
        before.pending != after.pending || of(before) != of(after) || before.owner != after.owner
    }

    /// Whether the conversation lost its owner while a message ran. Only an operator can do that.
    fn is_freed(&self) -> bool {
        self.before.lease.is_some() && self.before.owner.is_some() && self.after.owner.is_none()
    }
}

impl Judge {
    pub(super) fn conversation(&mut self, world: &World, change: &Value) -> Check {
        let after = meta(&change["NewImage"]);
        let before = self.conversations.insert(after.key.clone(), after.clone()).unwrap_or_default();
        let change = Change { before, after };
        self.note_moved(&change);
        self.state(&change)?;
        match change.after.fence.checked_sub(change.before.fence) {
            Some(0) => self.no_claim(world, &change),
            Some(1) => self.claim(world, &change),
            _ => change.violation("a fence that fell or jumped"),
        }
    }

    /// The rules for every conversation at all times.
    fn state(&self, change: &Change) -> Check {
        let after = &change.after;
        if let Some(lease) = &after.lease {
            if after.owner.as_ref().is_none_or(|(worker, _)| *worker != lease.worker) {
                return change.violation("a lease whose holder does not own the conversation");
            }
            if lease.entry.attempts - lease.entry.drained > lease.entry.max_attempts {
                return change.violation("more attempts than allowed");
            }
            if lease.redeliveries > MAX_REDELIVERIES {
                return change.violation("a claim with too many redeliveries");
            }
        }
        if after.owner.is_some() == after.in_index {
            return change
                .violation("a conversation must be in the ready index exactly when it has no owner");
        }
        if after.pending.is_empty() != after.ready.is_none() {
            return change.violation("a ready key without work, or work without a ready key");
        }
        if after.version < change.before.version {
            return change.violation("a version that fell");
        }
        if after.version == change.before.version && change.needs_a_new_version() {
            return change.violation("a change of queue, lease or owner under the same version");
        }
        // The last change of the queue wrote the ready key, under the policies that the writer knew.
        let shown_from = after.ready.as_ref().map(|r| r.strip_prefix("1#").map_or(0, |t| t.parse().unwrap()));
        // A hold of a disabled agent hides its messages for a while.
        let may_be_shown_from =
            |block: &bool| shown_from <= after.claimable_from(*block).max(after.held_until);
        if after.ready.is_some() && !self.policies.known_ever().iter().any(may_be_shown_from) {
            return change.violation("a message is claimable before the time of the ready key");
        }
        Ok(())
    }

    fn note_moved(&mut self, Change { before, after }: &Change) {
        let moved = before.messages().chain(after.messages()).filter(|m| before.holds(m) != after.holds(m));
        self.moved.extend(moved.map(|m| (m.clone(), after.key.clone())));
    }

    fn claim(&mut self, world: &World, change: &Change) -> Check {
        let Change { before, after } = change;
        let Some(lease) = &after.lease else { return change.violation("a new fence without a lease") };
        if before.lease.is_some() {
            return change.violation("a claim while a lease was in force");
        }
        if before.owner.as_ref().is_some_and(|(worker, active)| *worker != lease.worker || !active) {
            return change
                .violation("a claim of a conversation that another worker or a draining worker owns");
        }
        let is_of_agent = world.owner_of(&after.key).is_some_and(|(_, agent)| agent == AGENT);
        if is_of_agent && self.is_agent_disabled(lease.claimed_at) {
            return change.violation("a claim for a disabled agent");
        }
        let known = self.policies.known_at(lease.claimed_at);
        let is_head = |block: &bool| {
            before.head(lease.claimed_at, *block).is_some_and(|h| h.message == lease.entry.message)
        };
        let Some(block) = known.iter().find(|block| is_head(block)) else {
            return change.violation(format!(
                "claimed out of order: the head was {:?}",
                before.head(lease.claimed_at, self.policies.retries_block())
            ));
        };
        self.count(if *block { Event::RetriesBlock } else { Event::RetriesOvertake });
        let rest: Vec<_> =
            before.pending.iter().filter(|e| e.message != lease.entry.message).cloned().collect();
        if after.pending != rest {
            return change.violation("a claim that changed more than the head of the queue");
        }
        self.count(Event::Claimed);
        self.claim_after_stop(world, &after.key, &lease.entry.message)?;
        if before.pending.iter().any(|e| e.message == lease.entry.message && e.has_awaited_attachments()) {
            self.count(Event::ClaimedWithoutAttachments);
        }
        let first = *self.first_claims.entry(lease.entry.message.clone()).or_insert(after.fence);
        if lease.entry.first_fence != first {
            return change.violation(format!(
                "a message that was first claimed under fence {first} names another first claim"
            ));
        }
        let claims = self.claimed.entry(lease.entry.message.clone()).or_default();
        *claims += 1;
        if *claims != lease.entry.attempts {
            return change
                .violation(format!("{claims} claims, but {} attempts counted", lease.entry.attempts));
        }
        if *claims > 1 {
            self.count(Event::Retried);
        }
        self.drained.insert(lease.entry.message.clone(), lease.entry.drained);
        let claim = Claim { fence: after.fence, lease: lease.clone() };
        self.latest.insert(after.key.clone(), claim);
        Ok(())
    }

    fn no_claim(&mut self, world: &World, change: &Change) -> Check {
        match (&change.before.lease, &change.after.lease) {
            (None, Some(_)) => change.violation("a lease without a new fence"),
            (Some(old), Some(new)) if old.id != new.id || old.entry != new.entry => {
                change.violation("a lease that changed into another lease")
            }
            (Some(old), Some(new)) if old.cancelled && !new.cancelled => {
                change.violation("a cancellation that was undone")
            }
            (Some(old), Some(new)) if new.expires_at + MAX_EXTENSION_DELAY_MS < old.expires_at => {
                change.violation("a lease that was shortened")
            }
            (Some(old), Some(new)) if new.expires_at > old.expires_at && self.has_run_far_too_long(new) => {
                change.violation(format!(
                    "a lease was extended at {}, long after the limit of its run",
                    self.now
                ))
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

    /// A lease ends: its message has left the conversation, or is the first entry of the queue again.
    fn end(&mut self, world: &World, change: &Change, old: &Lease) -> Check {
        let Change { before, after } = change;
        let Some(last) = after.last.as_ref().filter(|l| l.lease == old.id) else {
            return change.violation("a lease that ended without a recorded outcome");
        };
        let (front, rest) = match last.outcome.as_str() {
            "requeued" => (after.pending.first(), after.pending.get(1..).unwrap_or_default()),
            _ => (None, &after.pending[..]),
        };
        if rest != &before.pending[..] {
            return change.violation("the end of a lease changed the waiting messages");
        }
        if last.outcome == "requeued"
            && front.is_none_or(|e| e.message != old.entry.message || e.attempts != old.entry.attempts)
        {
            return change.violation("a requeued message with another count of attempts");
        }
        if old.cancelled != (last.outcome == "cancelled") {
            return change
                .violation("the outcome of a lease does not agree with the cancellation of its message");
        }
        if let Some(front) = front {
            self.drained.insert(front.message.clone(), front.drained);
        }
        if change.is_freed() {
            self.freed(world, change, old)?;
        } else if last.recovered {
            self.count(Event::Recovered);
            if !self.may_be_recovered(world, old) {
                return change.violation(format!("a lease in force was recovered at {}", self.now));
            }
        }
        self.ended.insert(old.id.clone(), End { by: self.now, outcome: last.outcome.clone() });
        Ok(())
    }

    /// A lease ends together with the assignment only after an operator's request for this claim or for any claim.
    fn freed(&mut self, world: &World, change: &Change, old: &Lease) -> Check {
        let Change { before, after } = change;
        let last = after.last.as_ref().filter(|l| l.recovered);
        let Some(last) = last else {
            return change.violation("a freed lease that is not recorded as recovered");
        };
        let asked = world.answers.freeing.lock().unwrap().iter().any(|asked| {
            asked.conversation == after.key
                && asked.fence.is_none_or(|fence| fence == before.fence)
                && (asked.at..asked.at + MAX_FREEING_DELAY_MS).contains(&self.now)
        });
        if !asked {
            return change
                .violation(format!("a lease was freed at {} without a request of an operator", self.now));
        }
        self.count(Event::Freed);
        self.freed.push((after.key.clone(), old.entry.message.clone(), last.outcome.clone()));
        Ok(())
    }

    /// Whether the run of this lease may have reached its limit.
    pub(super) fn may_time_out(&self, lease: &Lease) -> bool {
        lease.claimed_at + max_run_ms() <= self.now + 2 * MAX_SKEW_MS
    }

    fn has_run_far_too_long(&self, lease: &Lease) -> bool {
        lease.claimed_at + max_run_ms() + MAX_RUN_EXCESS_MS < self.now
    }

    /// A lease may be recovered when it has expired, its machine is gone, the drain deadline of its worker has passed, or
    /// its run has reached the limit.
    fn may_be_recovered(&self, world: &World, lease: &Lease) -> bool {
        let has_passed = |at: u64| at <= self.now + MAX_SKEW_MS;
        let drained = |row: &crate::queue::Row| row.status != "active" && has_passed(row.drain_by);
        has_passed(lease.expires_at)
            || self.may_time_out(lease)
            || !world.provider.has(&lease.worker)
            || self.workers.get(&lease.worker).is_none_or(drained)
    }
}

fn max_run_ms() -> u64 {
    u64::try_from(MAX_RUN.as_millis()).unwrap()
}

/// Without a claim or the end of a lease, a queue may change in four ways: a new entry at its end, an entry removed by
/// a cancellation, an entry that no longer waits for attachments, or an album that waits for one more file. The check of
/// the message verifies the reason.
fn changed_without_claim(change: &Change) -> Check {
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
        rest.remove(gone);
    }
    if let (Some(old), Some(new)) = (before.get(gone), after.get(gone))
        && old.message.contains(":album:")
        && old.attempts == 0
        // When its files are fetched, more files may still come for a moment.
        && (new.not_before > old.not_before || new.not_before == old.due + ALBUM_WAIT.as_millis())
    {
        rest.insert(gone, Entry { not_before: new.not_before, ..old.clone() });
        if rest == *after {
            return Ok(());
        }
    }
    change.violation("a queue that changed without a claim")
}
