//! The seeds that every run of the tests tries: a few worlds that together cover every event.
//!
//! A change of the use cases or of the simulation changes the coverage of a world. When an event no longer happens,
//! choose the corpus again and put the printed values into `CORPUS` and `PAIRS`:
//!
//! ```sh
//! SIMULATION_CORPUS=200 cargo test -p af-tests --test simulation corpus -- --nocapture   # out of seeds 0 to 199
//! ```

use std::collections::BTreeSet;

use crate::costs::Operation;
use crate::search::SearchResult;
use crate::tally::Event;
use crate::world::Verdict;

/// The seeds that the tests run: chosen out of seeds 0 to 139, they cover everything that those 140 cover.
pub const CORPUS: [u64; 42] = [
    8, 11, 12, 14, 16, 17, 21, 24, 32, 35, 37, 39, 41, 43, 44, 47, 51, 55, 56, 57, 60, 62, 67, 68, 72, 73,
    75, 76, 87, 91, 96, 97, 104, 107, 111, 112, 113, 117, 128, 131, 132, 135,
];

/// The number of pairs of fault and operation that the corpus covered when it was chosen.
pub const PAIRS: usize = 242;
/// The share of these pairs that must still happen. A change of the use cases moves the rare ones.
pub const MIN_PERCENT_OF_PAIRS: usize = 85;

/// One thing that a world can cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Covered {
    /// The event happened.
    Event(Event),
    /// A fault happened in a call of the operation.
    Pair(Event, Operation),
    /// The operation was measured while faults were off.
    Measured(Operation),
    /// The operation was measured in a world without any faults.
    MeasuredWithoutFaults(Operation),
}

/// The coverage of a world.
pub fn coverage_of(verdict: &Verdict) -> BTreeSet<Covered> {
    let happened = Event::ALL.into_iter().filter(|event| verdict.tally.of(*event) > 0).map(Covered::Event);
    let pairs = verdict.tally.pairs().into_iter().map(|(event, operation)| Covered::Pair(event, operation));
    let measured = verdict.peak_requests.keys().map(|operation| Covered::Measured(*operation));
    let without_faults =
        verdict.peak_requests.keys().map(|operation| Covered::MeasuredWithoutFaults(*operation));
    let without_faults = without_faults.filter(|_| crate::faults::is_fault_free_seed(verdict.seed));
    happened.chain(pairs).chain(measured).chain(without_faults).collect()
}

/// Chooses seeds whose worlds together have the coverage of all worlds of `search`. Each step takes the seed that adds
/// the most, and the lowest of several such seeds.
pub fn choose(search: &SearchResult) -> Vec<u64> {
    let mut missing: BTreeSet<Covered> = search.coverage.values().flatten().copied().collect();
    let mut chosen = BTreeSet::new();
    while !missing.is_empty() {
        let added = |seed: &&u64| search.coverage[*seed].intersection(&missing).count();
        let Some(best) = search.coverage.keys().rev().max_by_key(added) else { break };
        missing = missing.difference(&search.coverage[best]).copied().collect();
        chosen.insert(*best);
    }
    chosen.into_iter().collect()
}
