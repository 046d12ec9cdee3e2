//! How the stand-in lets time pass: by the virtual clock, which the whole stack shares.

use std::time::Duration;

use af_domain::time::Millis;
use af_providers::Time;
use af_runtime::clock::Clock;
use async_trait::async_trait;

use crate::clock::VirtualClock;

/// Waits until the virtual clock has come so far, by itself or because somebody moved it.
#[derive(Clone, Debug)]
pub struct ClockTime(pub VirtualClock);

/// Moves the clock in place of waiting: with a frozen clock, a test that waits takes no time, and the same each run.
#[derive(Clone, Debug)]
pub struct LeapingTime(pub VirtualClock);

fn present(clock: &VirtualClock) -> Duration {
    Duration::from_millis(clock.now().as_millis())
}

/// A wait as the clock counts it, rounded up: a moment that is due a little later is not yet due.
fn millis(by: Duration) -> Millis {
    Millis::new(u64::try_from(by.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

#[async_trait]
impl Time for ClockTime {
    fn now(&self) -> Duration {
        present(&self.0)
    }

    async fn pass(&self, by: Duration) {
        let until = present(&self.0) + by;
        loop {
            let moved = self.0.moved();
            let left = until.saturating_sub(present(&self.0));
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = moved => {}
            }
        }
    }
}

#[async_trait]
impl Time for LeapingTime {
    fn now(&self) -> Duration {
        present(&self.0)
    }

    async fn pass(&self, by: Duration) {
        self.0.advance(millis(by));
    }
}
