//! The lease of a claimed message, and how long the worker may trust it.
//!
//! Only the server decides about expiry, by its own clock. The worker's trust ends `leaseMs − 2 × heartbeat interval`
//! after the *start* of the last request that renewed the lease. So it ends before the lease expires, however long that
//! request took.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use af_api::worker::outcome::HeartbeatAnswer;
use af_api::worker::poll::Job;
use tokio::time::Instant;

/// Shortest interval between heartbeats. It prevents a busy loop when the server names a shorter one.
const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(50);

/// The lease of the claimed job.
#[derive(Debug)]
pub struct Lease {
    job: Job,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    renewed_at: Instant,
    heartbeat_every: Duration,
    /// The server's time at `renewed_at`, computed from the lease's expiry.
    server_ms: u64,
    stop_asked: bool,
}

impl Lease {
    /// The lease of a job from the answer to a poll that started at `asked_at`.
    pub fn claimed(job: Job, asked_at: Instant) -> Self {
        let state = State {
            renewed_at: asked_at,
            heartbeat_every: interval(job.next_heartbeat_ms),
            server_ms: job.lease_expires_at.saturating_sub(job.lease_ms),
            stop_asked: false,
        };
        Self { job, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Records a heartbeat that started at `started` and was answered `held`.
    pub fn renewed(&self, started: Instant, answer: &HeartbeatAnswer) {
        let mut state = self.state();
        state.stop_asked |= answer.control.should_stop;
        if started < state.renewed_at {
            return; // Two heartbeats overlapped, and the later one was answered first.
        }
        state.renewed_at = started;
        if let Some(expires_at) = answer.lease_expires_at {
            state.server_ms = expires_at.saturating_sub(self.job.lease_ms);
        }
        state.heartbeat_every = interval(answer.next_heartbeat_ms);
    }

    /// When the next heartbeat is due.
    pub fn heartbeat_due(&self) -> Instant {
        let state = self.state();
        state.renewed_at + state.heartbeat_every
    }

    /// When the trust in the lease ends.
    pub fn trusted_until(&self) -> Instant {
        let state = self.state();
        let lease = Duration::from_millis(self.job.lease_ms);
        state.renewed_at + lease.saturating_sub(2 * state.heartbeat_every)
    }

    /// The current time by the server's clock, as far as the worker knows it. History entries use it, and never this
    /// machine's clock.
    pub fn server_now_ms(&self) -> u64 {
        let state = self.state();
        let since = u64::try_from(state.renewed_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        state.server_ms.saturating_add(since)
    }

    /// Whether a heartbeat was answered with `shouldStop`.
    pub fn stop_asked(&self) -> bool {
        self.state().stop_asked
    }
}

fn interval(ms: u64) -> Duration {
    Duration::from_millis(ms).max(MIN_HEARTBEAT_INTERVAL)
}

#[cfg(test)]
mod tests {
    use af_api::worker::control::Control;

    use super::*;

    fn lease(asked_at: Instant) -> Lease {
        let job = serde_json::from_value(serde_json::json!({
            "messageId": "m1", "conversationId": "c1", "agentKey": "demo", "leaseId": "l1", "fence": 1, "attempt": 1,
            "leaseExpiresAt": 1_090_000, "nextHeartbeatMs": 15_000, "leaseMs": 90_000,
            "payload": {"provider": "api", "providerUserId": "u1", "messageText": "hello", "metadata": {},
                "attachments": []},
        }));
        Lease::claimed(job.unwrap(), asked_at)
    }

    fn held(expires_at: u64, should_stop: bool) -> HeartbeatAnswer {
        HeartbeatAnswer {
            held: true,
            cancelled: false,
            lease_expires_at: Some(expires_at),
            control: Control { should_stop, ..Control::default() },
            next_heartbeat_ms: 15_000,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn trust_ends_two_heartbeat_intervals_before_the_lease_counted_from_the_start_of_the_request() {
        let start = Instant::now();
        let lease = lease(start);
        assert_eq!(lease.trusted_until() - start, Duration::from_secs(60));
        let asked = start + Duration::from_secs(15);
        lease.renewed(asked, &held(1_105_000, false));
        assert_eq!(lease.trusted_until() - start, Duration::from_secs(75));
        lease.renewed(start, &held(1_090_000, true));
        assert_eq!(
            lease.trusted_until() - start,
            Duration::from_secs(75),
            "an answer to an earlier heartbeat shortens nothing"
        );
        assert!(lease.stop_asked());
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_time_follows_from_the_expiry_of_the_lease() {
        let lease = lease(Instant::now());
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(lease.server_now_ms(), 1_000_250);
    }
}
