//! Seeded simulation: the real use cases on the embedded engine, in virtual time, under every fault that a network,
//! a table and a machine can make. A checker judges the invariants from the table's own stream of changes.
//!
//! `SIMULATION_SEEDS=20000` runs that many seeds, `SIMULATION_SEED=17` replays one and prints its trace.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod checker;
mod clock;
mod faults;
mod mutations;
mod pool;
mod queue;
mod reconciler;
mod users;
mod workers;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use mutations::Mutation;
use world::Verdict;

/// Seeds that every run of the tests tries.
const SEEDS: u64 = 40;
/// Seeds within which each mutation must be noticed.
const MUTATION_SEEDS_MAX: u64 = 60;

#[test]
fn no_fault_breaks_an_invariant() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let verdict = world::run(seed, Mutation::None, true);
        assert!(verdict.broken.is_none(), "seed {seed}: {}", verdict.broken.unwrap_or_default());
        return;
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let broken = search(seeds, Mutation::None, |verdict| verdict.broken.is_some());
    if let Some(verdict) = broken {
        panic!("seed {}: {} (SIMULATION_SEED={0} replays it)", verdict.seed, verdict.broken.unwrap());
    }
}

#[test]
fn the_same_seed_runs_the_same_way() {
    let (first, second) = (world::run(7, Mutation::None, false), world::run(7, Mutation::None, false));
    assert_eq!((first.requests, first.claims, first.faults), (second.requests, second.claims, second.faults));
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

fn notices(mutation: Mutation) {
    let noticed = search(MUTATION_SEEDS_MAX, mutation, |verdict| verdict.broken.is_some());
    let verdict =
        noticed.unwrap_or_else(|| panic!("{mutation:?} went unnoticed for {MUTATION_SEEDS_MAX} seeds"));
    report(&format!("{mutation:?} noticed at seed {}: {}", verdict.seed, verdict.broken.unwrap()));
}

/// Runs seeds on all cores until one is `found`; the lowest such.
fn search(seeds: u64, mutation: Mutation, found: impl Fn(&Verdict) -> bool + Sync) -> Option<Verdict> {
    let next = AtomicU64::new(0);
    let totals = [const { AtomicU64::new(0) }; 3];
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let hit = std::sync::Mutex::new(None::<Verdict>);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while hit.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let verdict = world::run(seed, mutation, false);
                    for (total, n) in totals.iter().zip([verdict.requests, verdict.claims, verdict.faults]) {
                        total.fetch_add(n, Ordering::Relaxed);
                    }
                    if found(&verdict) {
                        let mut hit = hit.lock().unwrap();
                        if hit.as_ref().is_none_or(|h| h.seed > seed) {
                            *hit = Some(verdict);
                        }
                    }
                }
            });
        }
    });
    let [requests, claims, faults] = totals.map(AtomicU64::into_inner);
    report(&format!("{mutation:?}: {requests} requests, {claims} claims, {faults} faults"));
    hit.into_inner().unwrap()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|n| n.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

#[allow(clippy::print_stderr, reason = "figures for whoever runs this by hand")]
fn report(line: &str) {
    eprintln!("{line}");
}
