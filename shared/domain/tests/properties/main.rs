//! What holds for whatever comes: generated queues, lives of conversations, ids and policies.
//!
//! The same inputs each time, so that a change is judged by what it does and not by chance; `PROPTEST_CASES` gives more
//! of them.
#![allow(clippy::unwrap_used, reason = "all of this is tests, their helpers included")]

mod ids;
mod lives;
mod policies;
mod queues;

use proptest::test_runner::{Config, RngSeed};

/// Where the generated inputs begin.
const SEED: u64 = 20_260_101;

/// 256 cases of each property; what fails is fixed and gets a test of its own, so no file remembers it.
fn config() -> Config {
    Config { failure_persistence: None, rng_seed: RngSeed::Fixed(SEED), ..Config::default() }
}
