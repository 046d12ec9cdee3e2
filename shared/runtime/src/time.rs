//! Waiting: with Tokio's timer, with the virtual clock, or by moving the virtual clock.

use std::time::Duration;

use af_domain::time::Millis;
use async_trait::async_trait;

use crate::clock::Clock;
use crate::virtual_clock::VirtualClock;

/// A source of time that code can wait with.
#[async_trait]
pub trait Time: Send + Sync {
    /// Returns the time since a fixed moment.
    fn now(&self) -> Duration;

    /// Waits until this much time has passed.
    async fn pass(&self, by: Duration);
}

/// The time of Tokio's runtime.
#[derive(Clone, Copy, Debug)]
pub struct TokioTime(tokio::time::Instant);

impl Default for TokioTime {
    fn default() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[async_trait]
impl Time for TokioTime {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn pass(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }
}

/// Waits until the virtual clock has reached the time, by itself or because it was moved.
#[derive(Clone, Debug)]
pub struct ClockTime(pub VirtualClock);

/// Moves the virtual clock instead of waiting. With a frozen clock, each run of a test takes no time and gives the same
/// result.
#[derive(Clone, Debug)]
pub struct LeapingTime(pub VirtualClock);

fn present(clock: &VirtualClock) -> Duration {
    Duration::from_millis(clock.now().as_millis())
}

/// Converts a wait to milliseconds, rounded up, so that no wait ends too early.
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
