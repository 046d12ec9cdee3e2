//! Any sequence of transitions of a conversation.

use std::collections::{BTreeMap, BTreeSet};

use af_domain::conversation::{
    Conversation, EndedLease, Entry, FailedAttempt, Failure, Outcome, Priority, Queue, RecoverCause,
};
use af_domain::ids::{AgentKey, ConversationId, ConversationKey, Fence, LeaseId, MessageId, WorkerId};
use af_domain::policy::{OnRetry, Policies};
use af_domain::time::{Millis, Timestamp};
use proptest::prelude::*;

use crate::config;

/// The steps of one sequence, and the claims that a message may have.
const MAX_STEPS: usize = 60;
const MAX_ATTEMPTS: u32 = 3;
const BEGIN: Timestamp = Timestamp::from_millis(1_000_000);

#[derive(Clone, Debug)]
enum Step {
    Enqueue { priority: u64, in_ms: Option<u64> },
    Claim { worker: u8 },
    Fail { retryable: bool, jitter: f64 },
    Recover { gone: bool },
    Complete,
    Release,
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..=100_u64, prop::option::of(0..20_000_u64)).prop_map(|(priority, in_ms)| Step::Enqueue { priority, in_ms }),
        4 => (0..3_u8).prop_map(|worker| Step::Claim { worker }),
        2 => (any::<bool>(), 0.0..1.0).prop_map(|(retryable, jitter)| Step::Fail { retryable, jitter }),
        1 => any::<bool>().prop_map(|gone| Step::Recover { gone }),
        1 => Just(Step::Complete),
        2 => Just(Step::Release),
        2 => (0..120_000_u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

/// A conversation, and the observations that the invariants need.
struct Life {
    now: Timestamp,
    policies: Policies,
    conversation: Conversation,
    accepted: u32,
    /// Messages that are done or dead letters.
    ended: BTreeSet<MessageId>,
    leases: BTreeSet<LeaseId>,
    /// The latest attempt of each message, and the fence of its first claim.
    attempts: BTreeMap<MessageId, (u32, Fence)>,
    claims: u64,
}

impl Life {
    fn new(on_retry: OnRetry) -> Self {
        let mut policies = Policies::default();
        policies.queue.on_retry = on_retry;
        let conversation = Conversation {
            id: ConversationId::parse("talk").unwrap(),
            key: ConversationKey::parse("abcdefghijklmnopqrstuvwx23").unwrap(),
            agent: AgentKey::parse("demo").unwrap(),
            fence: Fence(0),
            version: 1,
            queue: Queue::default(),
            lease: None,
            owner: None,
            last: None,
            ready: None,
            behind: None,
            held_until: None,
            active_at: BEGIN,
        };
        Self {
            now: BEGIN,
            policies,
            conversation,
            accepted: 0,
            ended: BTreeSet::new(),
            leases: BTreeSet::new(),
            attempts: BTreeMap::new(),
            claims: 0,
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Enqueue { priority, in_ms } => self.enqueue(priority, in_ms),
            Step::Claim { worker } => self.claim(worker)?,
            Step::Fail { retryable, jitter } => self.fail(retryable, jitter)?,
            Step::Recover { gone } => self.recover(gone)?,
            Step::Complete => self.complete()?,
            Step::Release => self.release()?,
            Step::Wait { ms } => self.now = self.now + Millis::new(ms),
        }
        self.check()
    }

    fn enqueue(&mut self, priority: u64, in_ms: Option<u64>) {
        self.accepted += 1;
        self.conversation.queue.push(Entry {
            message: MessageId::parse(format!("m{}", self.accepted)).unwrap(),
            priority: Priority::new(priority).unwrap(),
            due: self.now + Millis::new(in_ms.unwrap_or_default()),
            scheduled: in_ms.is_some(),
            attempts: 0,
            drained: 0,
            max_attempts: MAX_ATTEMPTS,
            not_before: Timestamp::default(),
            first_fence: None,
            revised: false,
        });
        if let Some(repaired) = self.conversation.with_keys_repaired(self.now, &self.policies) {
            self.conversation = repaired;
        }
    }

    fn claim(&mut self, worker: u8) -> Result<(), TestCaseError> {
        let (worker, before) = (WorkerId::parse(format!("w{worker}")).unwrap(), &self.conversation);
        let of_another = before.owner.as_ref().is_some_and(|owner| owner.worker != worker);
        let head = before.readiness(self.now, &self.policies).head;
        let Ok(claimed) = before.claim(&worker, self.claims, self.now, &self.policies) else {
            prop_assert!(before.lease.is_some() || of_another || head.is_none(), "refused without a reason");
            return Ok(());
        };
        prop_assert!(before.lease.is_none() && !of_another);
        prop_assert_eq!(Some(&claimed.lease.entry.message), head.map(|n| &before.queue.entries()[n].message));
        prop_assert_eq!(claimed.after.fence, before.fence.next());
        prop_assert!(claimed.lease.entry.not_before <= self.now);
        let (entry, parts) = (&claimed.lease.entry, claimed.lease.id.parts());
        let (attempts, first) = *self.attempts.get(&entry.message).unwrap_or(&(0, claimed.after.fence));
        prop_assert_eq!(entry.attempts, attempts + 1);
        prop_assert_eq!(entry.first_fence, Some(first));
        prop_assert_eq!(
            (parts.fence, parts.first_fence, parts.attempt),
            (claimed.after.fence, first, attempts + 1)
        );
        self.attempts.insert(entry.message.clone(), (entry.attempts, first));
        self.claims += 1;
        prop_assert!(self.leases.insert(claimed.lease.id), "a lease id was used before");
        self.become_of(claimed.after)
    }

    fn fail(&mut self, retryable: bool, jitter: f64) -> Result<(), TestCaseError> {
        let Some(lease) = self.conversation.lease.clone() else { return Ok(()) };
        let failure = Failure { error: "no".to_owned(), retryable, retry_after: None };
        let back = self.conversation.fail(&lease.id, failure, jitter, self.now, &self.policies);
        let back = back.map_err(|lease_error| TestCaseError::fail(format!("{lease_error:?}")))?;
        let again = retryable && lease.entry.attempts < MAX_ATTEMPTS;
        prop_assert_eq!(matches!(back.outcome, Outcome::Requeued { .. }), again);
        self.fail_attempt(back)
    }

    fn recover(&mut self, gone: bool) -> Result<(), TestCaseError> {
        let lease = self.conversation.lease.clone();
        let over = lease.is_some_and(|lease| gone || lease.expires_at <= self.now);
        let back = self.conversation.recover(
            if gone { RecoverCause::WorkerGone } else { RecoverCause::Expired },
            0.0,
            self.now,
            &self.policies,
        );
        prop_assert_eq!(back.is_some(), over);
        back.map_or(Ok(()), |back| self.fail_attempt(back))
    }

    fn fail_attempt(&mut self, back: FailedAttempt) -> Result<(), TestCaseError> {
        match back.outcome {
            Outcome::Requeued { not_before } => prop_assert!(not_before >= self.now),
            _ => prop_assert!(self.ended.insert(back.entry.message.clone()), "ended twice"),
        }
        self.become_of(back.after)
    }

    /// Completes like the store: the claim has already updated the index keys.
    fn complete(&mut self) -> Result<(), TestCaseError> {
        let mut after = self.conversation.clone();
        let Some(lease) = after.lease.take() else { return Ok(()) };
        after.last = Some(EndedLease { lease: lease.id, outcome: Outcome::Done, recovered: false });
        after.version += 1;
        prop_assert!(self.ended.insert(lease.entry.message), "ended twice");
        self.become_of(after)
    }

    fn release(&mut self) -> Result<(), TestCaseError> {
        let Some(owner) = self.conversation.owner.clone() else { return Ok(()) };
        match self.conversation.released_by(&owner.worker, self.now, &self.policies) {
            Some(after) => self.become_of(after),
            None => {
                prop_assert!(self.conversation.lease.is_some());
                Ok(())
            }
        }
    }

    fn become_of(&mut self, after: Conversation) -> Result<(), TestCaseError> {
        prop_assert!(after.version > self.conversation.version);
        self.conversation = after;
        Ok(())
    }

    /// The invariants after every step.
    fn check(&self) -> Result<(), TestCaseError> {
        let now = &self.conversation;
        let running = usize::from(now.lease.is_some());
        prop_assert_eq!(
            now.queue.len() + running + self.ended.len(),
            self.accepted as usize,
            "lost or doubled"
        );
        prop_assert_eq!(now.fence, Fence(self.claims));
        prop_assert!(now.lease.is_none() || now.owner.is_some());
        let running = now.lease.as_ref().map(|lease| &lease.entry);
        for entry in now.queue.entries().iter().chain(running) {
            prop_assert!(entry.attempts <= entry.max_attempts);
            prop_assert!(!self.ended.contains(&entry.message));
        }
        prop_assert!(now.queue.entries().iter().all(|entry| entry.attempts < entry.max_attempts));
        for lease in self.leases.iter().filter(|lease| !now.holds(lease)) {
            let failure = Failure { error: "late".to_owned(), retryable: true, retry_after: None };
            prop_assert!(
                now.fail(lease, failure, 0.0, self.now, &self.policies).is_err(),
                "an attempt ends once"
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_sequence_of_steps_breaks_the_invariants(
        steps in prop::collection::vec(step(), 1..MAX_STEPS),
        on_retry in prop_oneof![Just(OnRetry::Block), Just(OnRetry::Overtake)],
    ) {
        let mut life = Life::new(on_retry);
        for step in &steps {
            life.take(step)?;
        }
    }

    #[test]
    fn every_accepted_message_ends_if_workers_continue(
        steps in prop::collection::vec(step(), 1..MAX_STEPS),
        on_retry in prop_oneof![Just(OnRetry::Block), Just(OnRetry::Overtake)],
    ) {
        let mut life = Life::new(on_retry);
        for step in &steps {
            life.take(step)?;
        }
        // One message may already run, and each other message waits for at most one backoff.
        for _ in 0..=2 * life.accepted {
            for step in [Step::Complete, Step::Release, Step::Wait { ms: 150_000 }, Step::Claim { worker: 0 }] {
                life.take(&step)?;
            }
        }
        prop_assert_eq!(life.ended.len(), life.accepted as usize);
    }
}
