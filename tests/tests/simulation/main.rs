//! Seeded simulation: the real use cases on the embedded engine, in virtual time, under every fault that a network,
//! a table and a machine can make. A judge checks the invariants from the table's own stream of changes.
//!
//! The tests run the worlds of a corpus of seeds. `SIMULATION_SEEDS=20000` runs that many seeds instead, from
//! `SIMULATION_FROM` on; `SIMULATION_SEED=17` replays one and prints its trace.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod answers;
mod clock;
mod corpus;
mod costs;
mod effects;
mod faults;
mod instance;
mod judge;
mod mending;
mod mutations;
mod operators;
mod pool;
mod queue;
mod reconciler;
mod search;
mod tally;
mod users;
mod workers;
mod world;

use std::sync::OnceLock;

use corpus::{CORPUS, PAIRS, PERCENT_OF_PAIRS};
use costs::Operation;
use mutations::Mutation;
use search::{Found, number, replay, report, search};
use tally::Event;

/// Seeds within which each mutation must be noticed.
const MAX_MUTATION_SEEDS: u64 = 60;

/// The seeds that were asked for, run once for the tests that look at them.
fn seeds() -> &'static Found {
    static FOUND: OnceLock<Found> = OnceLock::new();
    FOUND.get_or_init(|| {
        let from = number("SIMULATION_FROM").unwrap_or(0);
        let seeds = match (number("SIMULATION_SEED"), number("SIMULATION_SEEDS")) {
            (Some(seed), _) => vec![seed],
            (None, Some(seeds)) => (from..from + seeds).collect(),
            (None, None) => CORPUS.to_vec(),
        };
        search(&seeds, Mutation::None)
    })
}

#[test]
fn no_fault_breaks_an_invariant() {
    let found = seeds();
    for event in Event::ALL {
        report(&format!("{:>8} {event:?}", found.tally.of(event)));
    }
    for (operation, took) in &found.dearest {
        report(&format!("{took:>8} requests for {operation:?} at most"));
    }
    let wanted = number("SIMULATION_SEED").or(found.broken.as_ref().map(|b| b.seed));
    let Some(seed) = wanted else { return };
    replay(seed);
    if let Some(broken) = &found.broken {
        panic!("seed {seed}: {} (SIMULATION_SEED={seed} replays it)", broken.broken.as_ref().unwrap());
    }
}

#[test]
fn everything_that_can_happen_does() {
    let few = ["SIMULATION_SEED", "SIMULATION_SEEDS"].iter().any(|v| number(v).is_some());
    let tally = &seeds().tally;
    let never: Vec<_> = Event::ALL.into_iter().filter(|e| tally.of(*e) == 0).collect();
    assert!(never.is_empty() || few, "in the corpus these never happened: {never:?}");
    let dearest = &seeds().dearest;
    let unmeasured: Vec<_> = Operation::ALL.into_iter().filter(|o| !dearest.contains_key(o)).collect();
    assert!(unmeasured.is_empty() || few, "in the corpus these were not measured: {unmeasured:?}");
    let pairs = tally.pairs().len();
    let enough = pairs * 100 >= PAIRS * PERCENT_OF_PAIRS;
    assert!(
        enough || few,
        "{pairs} faults in calls of operations happened, of {PAIRS} when the corpus was chosen"
    );
}

/// Chooses the corpus again, where that is asked for.
#[test]
fn the_corpus_is_chosen_where_it_is_asked_for() {
    let Some(seeds) = number("SIMULATION_CORPUS") else { return };
    let found = search(&(0..seeds).collect::<Vec<_>>(), Mutation::None);
    let chosen = corpus::choose(&found);
    report(&format!("CORPUS: [u64; {}] = {chosen:?}", chosen.len()));
    report(&format!("PAIRS: {}", found.tally.pairs().len()));
}

#[test]
fn the_same_seed_runs_the_same_way() {
    for seed in [3, 7, 11] {
        let run = || world::run(seed, Mutation::None, false);
        let (first, second) = (run(), run());
        assert_eq!(first.tally.counts(), second.tally.counts());
        assert_eq!(first.history, second.history);
    }
}

#[test]
fn skipping_the_fence_check_in_complete_is_noticed() {
    notices(Mutation::CompleteWithoutLease);
}

#[test]
fn not_counting_an_attempt_on_expiry_is_noticed() {
    notices(Mutation::ExpiryCountsNothing);
}

#[test]
fn dropping_the_dedupe_condition_is_noticed() {
    notices(Mutation::NoDedupe);
}

#[test]
fn forgetting_to_repair_the_ready_index_is_noticed() {
    notices(Mutation::ReadyKeyKept);
}

#[test]
fn extending_a_lease_that_was_taken_over_is_noticed() {
    notices(Mutation::HeartbeatExtendsAnyLease);
}

#[test]
fn a_heartbeat_that_extends_nothing_is_noticed() {
    notices(Mutation::HeartbeatExtendsNothing);
}

#[test]
fn appending_under_a_lease_that_was_taken_over_is_noticed() {
    notices(Mutation::AppendUnderAnyLease);
}

#[test]
fn enqueueing_in_front_of_what_waits_is_noticed() {
    notices(Mutation::EnqueueInFront);
}

#[test]
fn a_dead_letter_without_its_mark_is_noticed() {
    notices(Mutation::NoDeadLetterMark);
}

#[test]
fn giving_back_what_has_changed_meanwhile_is_noticed() {
    notices(Mutation::GiveBackOnAnyVersion);
}

#[test]
fn a_claim_that_is_not_in_the_workers_row_is_noticed() {
    notices(Mutation::ClaimLeavesRowAlone);
}

#[test]
fn completing_what_was_cancelled_is_noticed() {
    notices(Mutation::CompleteThoughCancelled);
}

#[test]
fn a_retry_that_leaves_the_mark_of_the_dead_letter_is_noticed() {
    notices(Mutation::RetryKeepsMark);
}

#[test]
fn freeing_a_conversation_that_stays_in_its_workers_row_is_noticed() {
    notices(Mutation::FreeLeavesRowAlone);
}

#[test]
fn counting_a_batch_each_time_it_comes_is_noticed() {
    notices(Mutation::CountEachTime);
}

/// Tries the seed that is known to find the bug, then all others.
fn notices(mutation: Mutation) {
    let known = mutation.known_seed();
    let others = (0..MAX_MUTATION_SEEDS).filter(|seed| *seed != known).collect::<Vec<_>>();
    let broken = search(&[known], mutation).broken.or_else(|| search(&others, mutation).broken);
    let broken =
        broken.unwrap_or_else(|| panic!("{mutation:?} went unnoticed for {MAX_MUTATION_SEEDS} seeds"));
    report(&format!("{mutation:?} noticed at seed {}: {}", broken.seed, broken.broken.unwrap()));
}
