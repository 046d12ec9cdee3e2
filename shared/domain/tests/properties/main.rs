//! Properties that hold for generated queues, sequences of transitions, ids and policies.
//!
//! The inputs are the same in every run, so that a failure is caused by the change and not by chance. `PROPTEST_CASES`
//! sets the number of inputs.
#![allow(clippy::unwrap_used, reason = "all of this is tests, their helpers included")]

mod documents;
mod ids;
mod policies;
mod queues;
mod schedule_table;
mod schedules;
mod second_implementation;
mod transitions;

use proptest::test_runner::{Config, RngSeed};

/// The seed of the generated inputs.
const SEED: u64 = 20_260_101;

/// 256 cases of each property. A failing case is fixed and gets its own test, so no regression file is kept.
fn config() -> Config {
    Config { failure_persistence: None, rng_seed: RngSeed::Fixed(SEED), ..Config::default() }
}
