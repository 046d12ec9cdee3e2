//! A claimed message's lease, and how long we may trust that it is ours.
//!
//! The server alone judges expiry, by its clock. We end our trust `leaseMs − 2 × heartbeat interval` after the
//! *start* of the last request that renewed it: whatever that request took, the server's expiry is later.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::{HeartbeatAnswer, Job};

/// Shortest interval between heartbeats, whatever the server says: never a busy loop.
const HEARTBEAT_EVERY_MIN: Duration = Duration::from_millis(50);

/// The lease of the job in hand.
#[derive(Debug)]
pub struct Lease {
    job: Job,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    renewed_at: Instant,
    heartbeat_every: Duration,
    /// The server's time at `renewed_at`, as the lease's expiry tells it.
    server_ms: u64,
    stop_asked: bool,
}

impl Lease {
    /// The lease of a job that a poll, started at `asked_at`, answered.
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

    /// The job that it is the lease of.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// A heartbeat, started at `started`, was answered `held`.
    pub fn renewed(&self, started: Instant, answer: &HeartbeatAnswer) {
        let mut state = self.state();
        state.stop_asked |= answer.control.should_stop;
        if started < state.renewed_at {
            return; // Two heartbeats were on their way, and the later one was answered first.
        }
        state.renewed_at = started;
        if let Some(expires_at) = answer.lease_expires_at {
            state.server_ms = expires_at.saturating_sub(self.job.lease_ms);
        }
        if let Some(ms) = answer.next_heartbeat_ms {
            state.heartbeat_every = interval(ms);
        }
    }

    /// When the next heartbeat is due.
    pub fn heartbeat_due(&self) -> Instant {
        let state = self.state();
        state.renewed_at + state.heartbeat_every
    }

    /// When our trust ends.
    pub fn trusted_until(&self) -> Instant {
        let state = self.state();
        let lease = Duration::from_millis(self.job.lease_ms);
        state.renewed_at + lease.saturating_sub(2 * state.heartbeat_every)
    }

    /// The server's time, as well as we know it: history is written in it, never in this machine's.
    pub fn server_now_ms(&self) -> u64 {
        let state = self.state();
        let since = u64::try_from(state.renewed_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        state.server_ms.saturating_add(since)
    }

    /// Whether a heartbeat was told that the worker shall stop.
    pub fn stop_asked(&self) -> bool {
        self.state().stop_asked
    }
}

fn interval(ms: u64) -> Duration {
    Duration::from_millis(ms).max(HEARTBEAT_EVERY_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(asked_at: Instant) -> Lease {
        let job = serde_json::from_value(serde_json::json!({
            "messageId": "m1", "conversationId": "c1", "agentKey": "demo", "leaseId": "l1", "fence": 1, "attempt": 1,
            "leaseExpiresAt": 1_090_000, "nextHeartbeatMs": 15_000, "leaseMs": 90_000,
        }));
        Lease::claimed(job.unwrap(), asked_at)
    }

    fn held(expires_at: u64, should_stop: bool) -> HeartbeatAnswer {
        serde_json::from_value(serde_json::json!({
            "held": true, "leaseExpiresAt": expires_at, "control": {"shouldStop": should_stop}, "nextHeartbeatMs": 15_000,
        }))
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn trust_ends_two_intervals_before_the_lease_counted_from_the_requests_start() {
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
            "an overtaken answer sets nothing back"
        );
        assert!(lease.stop_asked());
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_time_is_told_by_the_lease() {
        let lease = lease(Instant::now());
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(lease.server_now_ms(), 1_000_250);
    }
}
