//! The simulation's time: Tokio's paused clock, which jumps from one timer to the next. Sleeping costs nothing,
//! and waits of the code under test (backoffs, timeouts) are part of the same time.

use std::time::Duration;

use af_domain::time::{Millis, Timestamp};
use af_runtime::clock::Clock;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

/// The most that a server's clock is ahead of the true time, ms.
pub const MAX_SKEW_MS: u64 = 400;
/// How long a server's clock keeps its error before it is set anew: forward, or back.
const STEADY_MS: u64 = 30_000;
/// The most that a worker's clock is wrong at first, ms.
const MAX_WRONG_MS: i64 = 300_000;
/// How fast a worker's clock may go.
const RATE: std::ops::Range<f64> = 0.8..1.25;
/// When every simulation begins.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// The true clock.
#[derive(Clone)]
pub struct SimClock {
    began: Instant,
}

/// The clock of a function instance: nearly right, and set right from time to time.
pub struct ServerClock {
    truth: SimClock,
    seed: u64,
}

/// The clock of a worker, which nobody sets: minutes off, and drifting. What it says must not matter.
pub struct WorkerClock {
    truth: SimClock,
    wrong_ms: i64,
    rate: f64,
}

impl SimClock {
    /// The simulation begins now.
    pub fn begin() -> Self {
        Self { began: Instant::now() }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn server(&self, seed: u64) -> ServerClock {
        ServerClock { truth: self.clone(), seed }
    }

    pub fn worker(&self, rng: &mut StdRng) -> WorkerClock {
        let wrong_ms = rng.random_range(-MAX_WRONG_MS..MAX_WRONG_MS);
        WorkerClock { truth: self.clone(), wrong_ms, rate: rng.random_range(RATE) }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        START + Millis::new(self.elapsed_ms())
    }
}

impl ServerClock {
    fn ahead_in(&self, period: u64) -> u64 {
        // A clock is looked at too often to make a generator each time: this is SplitMix64.
        let mut mixed = self.seed.wrapping_add((period + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % MAX_SKEW_MS
    }

    /// Whether it was set back at the last setting.
    pub fn was_set_back(&self) -> bool {
        let period = self.truth.elapsed_ms() / STEADY_MS;
        period > 0 && self.ahead_in(period) < self.ahead_in(period - 1)
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let period = self.truth.elapsed_ms() / STEADY_MS;
        self.truth.now() + Millis::new(self.ahead_in(period))
    }
}

impl WorkerClock {
    pub fn is_ahead(&self) -> bool {
        self.wrong_ms > 0
    }

    pub fn now(&self) -> Timestamp {
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "minutes, in ms")]
        let since_start = (self.truth.elapsed_ms() as f64 * self.rate) as i64 + self.wrong_ms;
        Timestamp::from_millis(START.as_millis().saturating_add_signed(since_start))
    }

    /// Sleeps for what this clock takes for `length`.
    pub async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length.div_f64(self.rate)).await;
    }
}
