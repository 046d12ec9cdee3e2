//! Waiting: with Tokio's timer, with the virtual clock, or by moving the virtual clock.

use std::sync::Arc;
use std::time::Duration;

use af_domain::time::Millis;
use async_trait::async_trait;
use tokio::sync::watch;

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

/// How a function waits for a change of the table: how it waits, and how often it looks.
#[derive(Clone)]
pub struct Waits {
    /// The time that passes between two looks.
    pub time: Arc<dyn Time>,
    /// The longest pause between two looks.
    pub longest: Duration,
    /// The signals that end a pause early. Without them, a look costs money, and a policy must allow the wait.
    pub signals: Option<Signals>,
}

/// The signals of a deployment that runs on one machine.
#[derive(Clone, Debug)]
pub struct Signals {
    /// Changes soon after every write to the table.
    pub writes: watch::Receiver<u64>,
    /// Becomes true when the deployment stops, which ends all waits.
    pub stopping: watch::Receiver<bool>,
}

/// The pause after the first look. Each further pause is half as long again, up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(150);
/// The longest pause on Lambda. A wait of 20 s looks about 25 times.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The pause after a write, so that several writes in a row cause one look.
const AFTER_WRITE: Duration = Duration::from_millis(10);

impl Default for Waits {
    /// Waits with Tokio's timer, and looks once a second in the end.
    fn default() -> Self {
        Self { time: Arc::new(TokioTime::default()), longest: LONGEST_PAUSE, signals: None }
    }
}

impl Waits {
    /// Waits with the virtual clock, and looks often, because a look costs nothing on this machine.
    pub fn by(clock: VirtualClock) -> Self {
        Self { time: Arc::new(ClockTime(clock)), longest: FIRST_PAUSE, signals: None }
    }

    /// Looks also when a signal says that something has changed.
    #[must_use]
    pub fn with_signals(self, signals: Signals) -> Self {
        Self { signals: Some(signals), ..self }
    }

    /// Whether a look costs nothing, because it reads the table of this machine.
    pub fn are_free(&self) -> bool {
        self.signals.is_some()
    }

    /// Returns the looks of a wait that ends after `wait`.
    pub fn looks(&self, wait: Millis) -> Looks {
        let wait = Duration::from_millis(wait.as_millis());
        Looks { waits: self.clone(), end: self.time.now() + wait, pause: FIRST_PAUSE.min(self.longest) }
    }
}

/// The looks of one wait.
pub struct Looks {
    waits: Waits,
    end: Duration,
    pause: Duration,
}

impl Looks {
    /// Waits until it is time for the next look. Returns `false` without a wait when the time is over.
    pub async fn next(&mut self) -> bool {
        let left = self.end.saturating_sub(self.waits.time.now());
        if left.is_zero() {
            return false;
        }
        let pause = self.waits.time.pass(self.pause.min(left));
        match &mut self.waits.signals {
            None => pause.await,
            Some(signals) => {
                let stopped = async { signals.stopping.wait_for(|stopping| *stopping).await.is_ok() };
                tokio::select! {
                    biased;
                    true = stopped => return false,
                    Ok(()) = signals.writes.changed() => tokio::time::sleep(AFTER_WRITE).await,
                    () = pause => {}
                }
            }
        }
        self.pause = (self.pause * 3 / 2).min(self.waits.longest);
        true
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

#[cfg(test)]
mod tests {
    use af_domain::time::Timestamp;

    use super::*;

    #[tokio::test]
    async fn the_pauses_of_a_wait_grow_and_the_last_one_ends_with_it() {
        let clock = VirtualClock::frozen_at(Timestamp::default());
        let waits = Waits {
            time: Arc::new(LeapingTime(clock.clone())),
            longest: Duration::from_millis(300),
            signals: None,
        };
        let mut looks = waits.looks(Millis::from_secs(1));
        let mut moments = Vec::new();
        while looks.next().await {
            moments.push(clock.now().as_millis());
        }
        assert_eq!(moments, [150, 375, 675, 975, 1_000]);
        assert!(!waits.looks(Millis::default()).next().await);
    }
}
