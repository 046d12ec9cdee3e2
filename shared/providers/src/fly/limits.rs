//! Fly's rate limits, kept by construction: a request waits here until it is its turn.
//!
//! Fly counts each action of each app by itself: one request a second with bursts of three, and five a second for
//! looking at a machine (<https://fly.io/docs/machines/api/working-with-machines-api/#rate-limits>). Turns are given
//! out under a lock and waited for outside of it, so callers are served in the order in which they asked.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use af_runtime::time::Time;

/// Longest wait for a turn. A function lives for a minute; what cannot be done in a part of that is for its next run.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// What is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    GetApp,
    ListMachines,
    CreateMachine,
    GetMachine,
    CordonMachine,
    StopMachine,
    WaitForMachine,
    DestroyMachine,
    ListVolumes,
    CreateVolume,
    GetVolume,
    DestroyVolume,
}

impl Action {
    /// From one request to the next, on average.
    const fn interval(self) -> Duration {
        match self {
            Self::GetMachine => Duration::from_millis(200),
            _ => Duration::from_secs(1),
        }
    }

    /// Requests that may come at once after a pause.
    const fn burst(self) -> u32 {
        match self {
            // Five a second, and no word of more.
            Self::GetMachine => 1,
            _ => 3,
        }
    }

    /// How far ahead of its average a caller may be.
    const fn slack(self) -> Duration {
        self.interval().saturating_mul(self.burst() - 1)
    }
}

/// The turns that were given out. Memory grows with the apps that a process talks to, which is one.
pub(super) struct Limits {
    time: Arc<dyn Time>,
    /// By action and app: when the next request is due if all come at the average pace.
    due: Mutex<HashMap<(Action, String), Duration>>,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    pub fn new(time: Arc<dyn Time>) -> Self {
        Self { time, due: Mutex::default() }
    }

    /// Resolves when a request may be sent.
    ///
    /// # Errors
    /// The time until its turn, when that is too long to be waited for here; nothing is reserved then.
    pub async fn turn(&self, action: Action, app: &str) -> Result<(), Duration> {
        let wait = self.reserve(action, app)?;
        if !wait.is_zero() {
            self.time.pass(wait).await;
        }
        Ok(())
    }

    fn reserve(&self, action: Action, app: &str) -> Result<Duration, Duration> {
        let now = self.time.now();
        let mut all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = all.entry((action, app.to_owned())).or_default();
        let turn = (*due).max(now);
        let wait = turn.saturating_sub(now + action.slack());
        if wait > WAIT_MAX {
            return Err(wait);
        }
        *due = turn + action.interval();
        Ok(wait)
    }

    /// Nobody's turn comes before `retry_after` has passed: Fly has counted more requests than we.
    pub fn hold_back(&self, action: Action, app: &str, retry_after: Duration) {
        let earliest = self.time.now() + retry_after + action.slack();
        let mut all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = all.entry((action, app.to_owned())).or_default();
        *due = (*due).max(earliest);
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// Time that passes only by waiting.
    #[derive(Default)]
    struct Still(Mutex<Duration>);

    #[async_trait]
    impl Time for Still {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        async fn pass(&self, by: Duration) {
            *self.0.lock().unwrap() += by;
        }
    }

    async fn turns(limits: &Limits, action: Action, count: usize) -> Vec<u128> {
        let mut at = Vec::new();
        for _ in 0..count {
            limits.turn(action, "app").await.unwrap();
            at.push(limits.time.now().as_millis());
        }
        at
    }

    #[tokio::test]
    async fn three_at_once_and_then_one_a_second() {
        let limits = Limits::new(Arc::new(Still::default()));
        assert_eq!(turns(&limits, Action::CreateMachine, 6).await, [0, 0, 0, 1_000, 2_000, 3_000]);
    }

    #[tokio::test]
    async fn five_looks_at_a_machine_a_second() {
        let limits = Limits::new(Arc::new(Still::default()));
        assert_eq!(turns(&limits, Action::GetMachine, 6).await, [0, 200, 400, 600, 800, 1_000]);
    }

    #[tokio::test]
    async fn a_pause_brings_the_burst_back_and_no_more() {
        let limits = Limits::new(Arc::new(Still::default()));
        turns(&limits, Action::StopMachine, 3).await;
        limits.time.pass(Duration::from_secs(60)).await;
        assert_eq!(turns(&limits, Action::StopMachine, 4).await, [60_000, 60_000, 60_000, 61_000]);
    }

    #[tokio::test]
    async fn actions_and_apps_are_counted_apart() {
        let limits = Limits::new(Arc::new(Still::default()));
        turns(&limits, Action::CreateMachine, 3).await;
        limits.turn(Action::CreateVolume, "app").await.unwrap();
        limits.turn(Action::CreateMachine, "another").await.unwrap();
        assert_eq!(limits.time.now(), Duration::ZERO);
    }

    #[tokio::test]
    async fn after_a_refusal_everybody_waits_as_long_as_was_asked() {
        let limits = Limits::new(Arc::new(Still::default()));
        limits.hold_back(Action::ListMachines, "app", Duration::from_secs(7));
        assert_eq!(turns(&limits, Action::ListMachines, 2).await, [7_000, 8_000]);
    }

    #[tokio::test]
    async fn a_turn_that_is_far_away_is_not_waited_for() {
        let limits = Limits::new(Arc::new(Still::default()));
        limits.hold_back(Action::ListMachines, "app", Duration::from_secs(60));
        for _ in 0..2 {
            assert_eq!(limits.turn(Action::ListMachines, "app").await, Err(Duration::from_secs(60)));
        }
        limits.time.pass(Duration::from_secs(45)).await;
        assert_eq!(turns(&limits, Action::ListMachines, 1).await, [60_000]);
    }
}
