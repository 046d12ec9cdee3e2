//! The simulation's time: Tokio's paused clock, which jumps from one timer to the next. A sleep takes no real time.
//! The waits of the code under test (backoffs, timeouts) use the same clock.

use std::time::Duration;

use af_domain::time::{Millis, Timestamp};
use af_runtime::clock::Clock;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

/// The largest offset of a server's clock ahead of the true time, ms.
pub const MAX_SKEW_MS: u64 = 400;
/// How long a server's clock keeps its offset before the clock is set again, forward or back.
const OFFSET_PERIOD_MS: u64 = 30_000;
/// The largest initial offset of a worker's clock, ms.
const MAX_OFFSET_MS: i64 = 300_000;
/// The rate of a worker's clock relative to the true clock.
const RATE: std::ops::Range<f64> = 0.8..1.25;
/// The start time of every simulation.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// The true clock.
#[derive(Clone)]
pub struct SimClock {
    started_at: Instant,
}

/// The clock of a function instance. Its offset is small and changes from time to time.
pub struct ServerClock {
    true_clock: SimClock,
    seed: u64,
}

/// The clock of a worker. It is minutes off, it drifts, and nothing corrects it. Its time must not matter to the
/// system.
pub struct WorkerClock {
    true_clock: SimClock,
    offset_ms: i64,
    rate: f64,
}

impl SimClock {
    /// Starts the simulation's time now.
    pub fn begin() -> Self {
        Self { started_at: Instant::now() }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn server(&self, seed: u64) -> ServerClock {
        ServerClock { true_clock: self.clone(), seed }
    }

    pub fn worker(&self, rng: &mut StdRng) -> WorkerClock {
        let offset_ms = rng.random_range(-MAX_OFFSET_MS..MAX_OFFSET_MS);
        WorkerClock { true_clock: self.clone(), offset_ms, rate: rng.random_range(RATE) }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        START + Millis::new(self.elapsed_ms())
    }
}

impl ServerClock {
    fn offset_in(&self, period: u64) -> u64 {
        // A clock is read too often to create a random generator for each read. This is SplitMix64.
        let mut mixed = self.seed.wrapping_add((period + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % MAX_SKEW_MS
    }

    /// Whether the last change of the offset moved the clock back.
    pub fn was_set_back(&self) -> bool {
        let period = self.true_clock.elapsed_ms() / OFFSET_PERIOD_MS;
        period > 0 && self.offset_in(period) < self.offset_in(period - 1)
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let period = self.true_clock.elapsed_ms() / OFFSET_PERIOD_MS;
        self.true_clock.now() + Millis::new(self.offset_in(period))
    }
}

impl WorkerClock {
    pub fn is_ahead(&self) -> bool {
        self.offset_ms > 0
    }

    pub fn now(&self) -> Timestamp {
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "minutes, in ms")]
        let since_start = (self.true_clock.elapsed_ms() as f64 * self.rate) as i64 + self.offset_ms;
        Timestamp::from_millis(START.as_millis().saturating_add_signed(since_start))
    }

    /// Sleeps until this clock has advanced by `length`.
    pub async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length.div_f64(self.rate)).await;
    }
}
