//! The state that one reconcile run leaves for the next: failed spawns in a row, a pause that the provider asked for, the
//! time of the last full listing, and the orphans with the time since when they are known.

use std::collections::BTreeMap;

use crate::policy::Policies;
use crate::time::{Millis, Timestamp};

/// The number of failed spawns in a row that starts a cool-down.
const MAX_FAILURES: u64 = 3;
/// The first cool-down: the period of the schedule. A shorter one would have no effect.
const COOL_DOWN: Millis = Millis::from_secs(60);
/// The longest cool-down. A provider that has recovered is used again after this time at the latest.
const MAX_COOL_DOWN: Millis = Millis::from_secs(10 * 60);
/// The interval of full listings, which find orphans. An orphan costs little in this time, and a quiet pool sends no other
/// requests in between.
const FULL_LISTING_INTERVAL: Millis = Millis::from_secs(10 * 60);
/// How long after its grace time an orphan is tried again in every run. It is longer than the removal of a machine by force
/// and of its volume. An orphan that still exists after that does not go soon.
const RETRY_TIME: Millis = Millis::from_secs(30 * 60);

/// A machine or volume, by the provider's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Orphan {
    /// A machine that carries our mark.
    Machine(String),
    /// A volume that carries our mark.
    Volume(String),
}

/// The numbers of machines and volumes in our app that do not carry our mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForeignCounts {
    /// Machines.
    pub machines: usize,
    /// Volumes.
    pub volumes: usize,
}

/// The state that runs pass on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcileState {
    /// Failed spawns since a worker came up last: the provider did not start a worker, or a started worker never gave a sign
    /// of life.
    pub failures: u64,
    /// When the last of them failed.
    pub failed_at: Option<Timestamp>,
    /// Until when the provider has asked us to start no worker.
    pub paused_until: Option<Timestamp>,
    /// The time of the last full listing.
    pub last_full_listing_at: Option<Timestamp>,
    /// The known orphans, each with the time since when it is known.
    pub orphans: BTreeMap<Orphan, Timestamp>,
    /// The orphan whose removal was tried last.
    pub tried: Option<Orphan>,
    /// When the removal of an orphan past its retry time was tried last.
    pub stuck_tried_at: Option<Timestamp>,
    /// What others have in the same app, as of the last full listing.
    pub foreign: ForeignCounts,
    /// Whether conversations waited for a worker and none could be added.
    pub is_short: bool,
}

impl ReconcileState {
    /// The end of the cool-down, when the provider has failed too often in a row.
    ///
    /// The cool-down doubles with each further run that fails. After its end one worker is tried at a time, until one comes
    /// up.
    pub fn cool_down_ends(&self) -> Option<Timestamp> {
        let further = self.failures.checked_sub(MAX_FAILURES)?;
        let factor = 1_u64.checked_shl(u32::try_from(further).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
        let pause = COOL_DOWN.as_millis().saturating_mul(factor).min(MAX_COOL_DOWN.as_millis());
        Some(self.failed_at? + Millis::new(pause))
    }

    /// What spawns wait for at `now`, and until when.
    pub(super) fn pause(&self, now: Timestamp) -> Option<(String, Timestamp)> {
        let failed = format!("the provider, which failed {} times in a row", self.failures);
        let cool_down = self.cool_down_ends().map(|end| (failed, end));
        let rest = self.paused_until.map(|end| ("the provider, which has asked for a pause".to_owned(), end));
        cool_down.into_iter().chain(rest).filter(|(_, end)| *end > now).max_by_key(|(_, end)| *end)
    }

    /// How many workers may be spawned at once, at most `step`, while `coming_up` workers have not given a sign of life yet.
    pub(super) fn spawns_at_once(&self, step: usize, coming_up: usize, now: Timestamp) -> usize {
        match self.cool_down_ends() {
            _ if self.pause(now).is_some() => 0,
            None => step,
            Some(_) => 1_usize.saturating_sub(coming_up),
        }
    }

    /// Counts the failed spawns of one run. Together they are one attempt: any number of them starts one cool-down, or doubles
    /// it once.
    pub fn count_failures(&mut self, failed: usize, now: Timestamp) {
        if failed > 0 {
            let one_further = self.failures.max(MAX_FAILURES - 1).saturating_add(1);
            self.failures = self.failures.saturating_add(failed as u64).min(one_further);
            self.failed_at = Some(now);
        }
    }

    /// Notes how long the provider has asked us to start no worker. The pause has a minimum, because every spawn asks again
    /// and creates a row and a volume for nothing before the answer. A pause is no failure.
    pub fn pause_spawns(&mut self, asked: Option<Millis>, now: Timestamp) {
        let before = self.paused_until.filter(|end| *end > now);
        self.paused_until = before.max(asked.map(|time| now + time.max(COOL_DOWN)));
    }

    /// Whether this run requests the full lists. An orphan within its retry time is checked in every run.
    pub fn wants_full_listing(&self, policies: &Policies, now: Timestamp) -> bool {
        let is_retried = |since: &Timestamp| is_retried(*since, policies, now);
        self.orphans.values().any(is_retried) || self.next_full_listing() <= now
    }

    /// The latest time of the next full listing.
    fn next_full_listing(&self) -> Timestamp {
        self.last_full_listing_at.map_or(Timestamp::default(), |at| at + FULL_LISTING_INTERVAL)
    }

    /// Until when an orphan past its retry time is not tried. Newer orphans may cause a full listing in every run meanwhile.
    pub(super) fn not_tried_until(
        &self,
        since: Timestamp,
        policies: &Policies,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let until = self.stuck_tried_at? + FULL_LISTING_INTERVAL;
        (!is_retried(since, policies, now) && until > now).then_some(until)
    }

    /// Notes the removals that a run has tried. Each orphan comes with the time since when it is known.
    pub fn note_tried(&mut self, tried: &[(&Orphan, Timestamp)], policies: &Policies, now: Timestamp) {
        if let Some((last, _)) = tried.last() {
            self.tried = Some((*last).clone());
        }
        if self.orphans.is_empty() {
            (self.tried, self.stuck_tried_at) = (None, None);
        } else if tried.iter().any(|(_, since)| !is_retried(*since, policies, now)) {
            self.stuck_tried_at = Some(now);
        }
    }
}

fn is_retried(since: Timestamp, policies: &Policies, now: Timestamp) -> bool {
    now < since + policies.scaling.provider_grace + RETRY_TIME
}
