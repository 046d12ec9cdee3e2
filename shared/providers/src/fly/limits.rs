//! Fly's rate limits: a request waits here for its turn.
//!
//! Fly counts each action of each app separately: one request per second with bursts of three, and five per second for
//! reading one machine (<https://fly.io/docs/machines/api/working-with-machines-api/#rate-limits>). A turn is reserved
//! under a lock; the caller waits for it outside the lock. So callers are served in the order of their requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use af_runtime::time::Time;

/// The longest wait for a turn. A function runs for a minute, so a request that is due later is left to the next run.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// An action that Fly counts separately.
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
    /// The average time between two requests.
    const fn interval(self) -> Duration {
        match self {
            Self::GetMachine => Duration::from_millis(200),
            _ => Duration::from_secs(1),
        }
    }

    /// The number of requests that may be sent at once after a pause.
    const fn burst(self) -> u32 {
        match self {
            // Fly promises five per second and no burst.
            Self::GetMachine => 1,
            _ => 3,
        }
    }

    /// How far a caller may be ahead of the average.
    const fn slack(self) -> Duration {
        self.interval().saturating_mul(self.burst() - 1)
    }
}

/// The reserved turns. Memory grows with the number of apps that a process uses, which is one.
pub(super) struct Limits {
    time: Arc<dyn Time>,
    /// By action and app: when the next request is due at the average rate.
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

    /// Waits until a request may be sent. If its turn comes after the longest wait, the error is the time until then,
    /// and nothing is reserved.
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
        if wait > MAX_WAIT {
            return Err(wait);
        }
        *due = turn + action.interval();
        Ok(wait)
    }

    /// No turn comes before `retry_after` has passed, because Fly has answered 429.
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

    /// Time that passes only when a caller waits.
    #[derive(Default)]
    struct StillTime(Mutex<Duration>);

    #[async_trait]
    impl Time for StillTime {
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
    async fn an_action_has_a_burst_of_three_and_then_one_request_a_second() {
        let limits = Limits::new(Arc::new(StillTime::default()));
        assert_eq!(turns(&limits, Action::CreateMachine, 6).await, [0, 0, 0, 1_000, 2_000, 3_000]);
    }

    #[tokio::test]
    async fn reading_a_machine_has_five_requests_a_second_and_no_burst() {
        let limits = Limits::new(Arc::new(StillTime::default()));
        assert_eq!(turns(&limits, Action::GetMachine, 6).await, [0, 200, 400, 600, 800, 1_000]);
    }

    #[tokio::test]
    async fn a_pause_restores_the_burst_and_no_more() {
        let limits = Limits::new(Arc::new(StillTime::default()));
        turns(&limits, Action::StopMachine, 3).await;
        limits.time.pass(Duration::from_secs(60)).await;
        assert_eq!(turns(&limits, Action::StopMachine, 4).await, [60_000, 60_000, 60_000, 61_000]);
    }

    #[tokio::test]
    async fn actions_and_apps_are_counted_separately() {
        let limits = Limits::new(Arc::new(StillTime::default()));
        turns(&limits, Action::CreateMachine, 3).await;
        limits.turn(Action::CreateVolume, "app").await.unwrap();
        limits.turn(Action::CreateMachine, "another").await.unwrap();
        assert_eq!(limits.time.now(), Duration::ZERO);
    }

    #[tokio::test]
    async fn after_a_429_every_caller_waits_for_retry_after() {
        let limits = Limits::new(Arc::new(StillTime::default()));
        limits.hold_back(Action::ListMachines, "app", Duration::from_secs(7));
        assert_eq!(turns(&limits, Action::ListMachines, 2).await, [7_000, 8_000]);
    }

    #[tokio::test]
    async fn a_turn_beyond_the_longest_wait_is_not_reserved() {
        let limits = Limits::new(Arc::new(StillTime::default()));
        limits.hold_back(Action::ListMachines, "app", Duration::from_secs(60));
        for _ in 0..2 {
            assert_eq!(limits.turn(Action::ListMachines, "app").await, Err(Duration::from_secs(60)));
        }
        limits.time.pass(Duration::from_secs(45)).await;
        assert_eq!(turns(&limits, Action::ListMachines, 1).await, [60_000]);
    }
}
