//! What one run of reconcile leaves for the next: failed spawns in a row, when the provider was last asked for
//! everything, and since when what lies there belongs to nobody.

use std::collections::BTreeMap;

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
pub struct Memory {
    /// Spawns that the provider failed, since the last that succeeded.
    pub failures: u64,
    /// When the last of them failed.
    pub failed_at: Option<Timestamp>,
    /// When the provider was last asked for everything.
    pub looked_at: Option<Timestamp>,
    /// What belonged to nobody then, and since when.
    pub orphans: BTreeMap<Orphan, Timestamp>,
    /// Machines and volumes beside ours, when last looked.
    pub foreign: (usize, usize),
}

impl Memory {
    /// Until when nothing is spawned, where the provider has failed too often in a row.
    ///
    /// The pause doubles with each further failure. At its end one worker is tried at a time, until one comes up.
    pub fn cool_down_ends(&self) -> Option<Timestamp> {
        let further = self.failures.checked_sub(FAILURES_MAX)?;
        let factor = 1_u64.checked_shl(u32::try_from(further).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
        let pause = COOL_DOWN.as_millis().saturating_mul(factor).min(COOL_DOWN_MAX.as_millis());
        Some(self.failed_at? + Millis::new(pause))
    }

    /// How many workers may be spawned at once, of `step`.
    pub(super) fn spawns_at_once(&self, step: usize, now: Timestamp) -> usize {
        match self.cool_down_ends() {
            None => step,
            Some(end) if end > now => 0,
            Some(_) => step.min(1),
        }
    }

    /// Counts what became of the spawns of one run.
    pub fn count_spawns(&mut self, succeeded: usize, failed: usize, now: Timestamp) {
        if succeeded > 0 {
            (self.failures, self.failed_at) = (0, None);
        } else if failed > 0 {
            self.failures = self.failures.saturating_add(failed as u64);
            self.failed_at = Some(now);
        }
    }

    /// Whether the provider is asked for everything that carries our mark. What belongs to nobody is followed up at
    /// once.
    pub fn wants_look(&self, now: Timestamp) -> bool {
        !self.orphans.is_empty() || self.looked_at.is_none_or(|at| now.since(at) >= LOOK_EVERY)
    }
}
