//! The simulation's time: Tokio's paused clock, which jumps from one timer to the next. Sleeping costs nothing,
//! and waits of the code under test (backoffs, timeouts) are part of the same time.

use af_app::clock::Clock;
use af_domain::time::{Millis, Timestamp};
use tokio::time::Instant;

/// A clock that may be ahead of the true one: servers' clocks differ a little.
#[derive(Clone)]
pub struct SimClock {
    began: Instant,
    ahead: Millis,
}

/// When every simulation begins.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

impl SimClock {
    /// The true clock; the simulation begins now.
    pub fn begin() -> Self {
        Self { began: Instant::now(), ahead: Millis::default() }
    }

    /// The same time, `ahead` of the true one.
    pub fn ahead_by(&self, ahead: Millis) -> Self {
        Self { ahead, ..self.clone() }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        START + Millis::new(elapsed) + self.ahead
    }
}
