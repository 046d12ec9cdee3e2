//! What one run of reconcile leaves for the next: failed spawns in a row, whether the provider wants to rest, when it was
//! last asked for everything, and since when what lies there belongs to nobody.

use std::collections::BTreeMap;

use crate::policy::Policies;
use crate::time::{Millis, Timestamp};

/// Failed spawns in a row after which none is tried for a while.
const FAILURES_MAX: u64 = 3;
/// The first cool-down: the schedule's period, below which there would be none.
const COOL_DOWN: Millis = Millis::from_secs(60);
/// The longest: a provider that has recovered is used again after that at the latest.
const COOL_DOWN_MAX: Millis = Millis::from_secs(10 * 60);
/// How often the provider is asked for everything that carries our mark, besides the machines of live workers: what
/// belongs to nobody costs little for so long, and a quiet pool asks for nothing in between.
const LOOK_EVERY: Millis = Millis::from_secs(10 * 60);
/// How long after its grace an orphan is followed up in every run: longer than a machine takes that is ended by force in
/// the end, with its volume after it. One that is still there does not go soon.
const FOLLOWED_UP: Millis = Millis::from_secs(30 * 60);

/// A machine or volume, by the provider's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Orphan {
    /// A machine that carries our mark.
    Machine(String),
    /// A volume that carries our mark.
    Volume(String),
}

/// What is remembered from run to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcileState {
    /// Spawns that failed, since a worker last came up: the provider did not start one, or one that it started never
    /// said a word.
    pub failures: u64,
    /// When the last of them failed.
    pub failed_at: Option<Timestamp>,
    /// Until when the provider has asked us to start nothing.
    pub rests_until: Option<Timestamp>,
    /// When the provider was last asked for everything.
    pub looked_at: Option<Timestamp>,
    /// What belonged to nobody then, and since when.
    pub orphans: BTreeMap<Orphan, Timestamp>,
    /// Which of them was tried to be removed last.
    pub tried: Option<Orphan>,
    /// When one was tried last that is not followed up any more.
    pub stuck_tried_at: Option<Timestamp>,
    /// Machines and volumes beside ours, when last looked.
    pub foreign: (usize, usize),
}

impl ReconcileState {
    /// Until when nothing is spawned, where the provider has failed too often in a row.
    ///
    /// The pause doubles with each further run that fails. At its end one worker is tried at a time, until one comes up.
    pub fn cool_down_ends(&self) -> Option<Timestamp> {
        let further = self.failures.checked_sub(FAILURES_MAX)?;
        let factor = 1_u64.checked_shl(u32::try_from(further).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
        let pause = COOL_DOWN.as_millis().saturating_mul(factor).min(COOL_DOWN_MAX.as_millis());
        Some(self.failed_at? + Millis::new(pause))
    }

    /// What spawning waits for at `now`, and until when.
    pub(super) fn pause(&self, now: Timestamp) -> Option<(String, Timestamp)> {
        let failed = format!("the provider, which failed {} times in a row", self.failures);
        let cool_down = self.cool_down_ends().map(|end| (failed, end));
        let rest = self.rests_until.map(|end| ("the provider, which has asked for a pause".to_owned(), end));
        cool_down.into_iter().chain(rest).filter(|(_, end)| *end > now).max_by_key(|(_, end)| *end)
    }

    /// How many workers may be spawned at once, of `step`, while so many have not come up yet.
    pub(super) fn spawns_at_once(&self, step: usize, coming_up: usize, now: Timestamp) -> usize {
        match self.cool_down_ends() {
            _ if self.pause(now).is_some() => 0,
            None => step,
            Some(_) => 1_usize.saturating_sub(coming_up),
        }
    }

    /// Counts the failed spawns of one run. All of them are one look at the provider: however many there are, they make
    /// one pause, or double it once.
    pub fn count_failures(&mut self, failed: usize, now: Timestamp) {
        if failed > 0 {
            let one_further = self.failures.max(FAILURES_MAX - 1).saturating_add(1);
            self.failures = self.failures.saturating_add(failed as u64).min(one_further);
            self.failed_at = Some(now);
        }
    }

    /// Notes for how long the provider has asked us to start nothing, which is for a while in any case: it is asked with
    /// every spawn, and what was made of one until then is made and removed for nothing. That is no failure.
    pub fn rest(&mut self, asked: Option<Millis>, now: Timestamp) {
        let before = self.rests_until.filter(|end| *end > now);
        self.rests_until = before.max(asked.map(|time| now + time.max(COOL_DOWN)));
    }

    /// Whether the provider is asked for everything that carries our mark. What belongs to nobody is followed up in every
    /// run, but for what does not go.
    pub fn wants_look(&self, policies: &Policies, now: Timestamp) -> bool {
        let is_followed_up = |since: &Timestamp| is_followed_up(*since, policies, now);
        self.orphans.values().any(is_followed_up) || self.looks_at() <= now
    }

    /// When the provider is asked for everything at the latest.
    fn looks_at(&self) -> Timestamp {
        self.looked_at.map_or(Timestamp::default(), |at| at + LOOK_EVERY)
    }

    /// Until when an orphan is left alone that has not gone for long. Others that came later may make every run look.
    pub(super) fn left_until(
        &self,
        since: Timestamp,
        policies: &Policies,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let until = self.stuck_tried_at? + LOOK_EVERY;
        (!is_followed_up(since, policies, now) && until > now).then_some(until)
    }

    /// Notes which orphan was tried to be removed last, of all that were tried in a run, each with since when it is one.
    pub fn note_tried(&mut self, tried: &[(&Orphan, Timestamp)], policies: &Policies, now: Timestamp) {
        if let Some((last, _)) = tried.last() {
            self.tried = Some((*last).clone());
        }
        if self.orphans.is_empty() {
            (self.tried, self.stuck_tried_at) = (None, None);
        } else if tried.iter().any(|(_, since)| !is_followed_up(*since, policies, now)) {
            self.stuck_tried_at = Some(now);
        }
    }
}

fn is_followed_up(since: Timestamp, policies: &Policies, now: Timestamp) -> bool {
    now < since + policies.scaling.provider_grace + FOLLOWED_UP
}
