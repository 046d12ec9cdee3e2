//! The seeds that every run of the tests tries: few worlds that together show everything that can happen.
//!
//! A change of the use cases or of the simulation changes what a world shows. When a kind no longer happens, choose the
//! corpus again and put what is printed into `CORPUS` and `PAIRS`:
//!
//! ```sh
//! SIMULATION_CORPUS=200 cargo test -p af-tests --test simulation corpus -- --nocapture   # out of seeds 0 to 199
//! ```

use std::collections::BTreeSet;

use crate::costs::Operation;
use crate::search::Found;
use crate::tally::Event;
use crate::world::Verdict;

/// The seeds. No corpus has been chosen yet: these are all of the first 200.
pub const CORPUS: [u64; 200] = first();

/// Faults in calls of operations that the corpus showed when it was chosen.
pub const PAIRS: usize = 0;
/// Of a hundred of these, as many must still happen. A change of the use cases moves the rare ones.
pub const PERCENT_OF_PAIRS: usize = 85;

const fn first() -> [u64; 200] {
    let mut seeds = [0; 200];
    let mut at = 0;
    while at < seeds.len() {
        seeds[at] = at as u64;
        at += 1;
    }
    seeds
}

/// What a world can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// It happened.
    Event(Event),
    /// A fault happened in a call of the operation.
    Pair(Event, Operation),
    /// The operation was measured while nothing went wrong.
    Measured(Operation),
    /// The operation was measured in a world in which nothing ever goes wrong.
    MeasuredInCalm(Operation),
}

/// All that a world has shown.
pub fn shown(verdict: &Verdict) -> BTreeSet<Shown> {
    let happened = Event::ALL.into_iter().filter(|event| verdict.tally.of(*event) > 0).map(Shown::Event);
    let pairs = verdict.tally.pairs().into_iter().map(|(event, operation)| Shown::Pair(event, operation));
    let measured = verdict.dearest.keys().map(|operation| Shown::Measured(*operation));
    let in_calm = verdict.dearest.keys().map(|operation| Shown::MeasuredInCalm(*operation));
    let in_calm = in_calm.filter(|_| crate::faults::is_always_calm(verdict.seed));
    happened.chain(pairs).chain(measured).chain(in_calm).collect()
}

/// Chooses seeds that together show all that all of `found` show: each time the one that adds most, the lowest of
/// several.
pub fn choose(found: &Found) -> Vec<u64> {
    let mut missing: BTreeSet<Shown> = found.shown.values().flatten().copied().collect();
    let mut chosen = BTreeSet::new();
    while !missing.is_empty() {
        let adds = |seed: &&u64| found.shown[*seed].intersection(&missing).count();
        let Some(best) = found.shown.keys().rev().max_by_key(adds) else { break };
        missing = missing.difference(&found.shown[best]).copied().collect();
        chosen.insert(*best);
    }
    chosen.into_iter().collect()
}
