//! The clock of `agent-factory dev` and of the tests: the machine's time plus an offset that only grows. With it, an
//! idle timeout of thirty minutes takes a second.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use af_domain::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::{Clock, SystemClock};

/// The file in the data folder that keeps the offset across restarts.
pub const CLOCK_FILE: &str = "clock.json";

/// A clock that can be moved forward, never back. Clones share the same time.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    base: Base,
    /// Milliseconds ahead of the base; the channel also wakes the tasks that wait for a move.
    offset: watch::Sender<u64>,
    /// The latest time that was returned. The machine's own clock may be set back.
    latest: AtomicU64,
    /// The file with the offset, if it is stored. The lock orders concurrent moves.
    kept_in: Mutex<Option<PathBuf>>,
}

#[derive(Clone, Copy, Debug)]
enum Base {
    Running,
    Frozen(Timestamp),
}

/// The content of `clock.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    offset_ms: u64,
}

/// The reason why a stored clock cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The file exists and cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The file does not contain an offset.
    #[error("{path} does not hold a clock's offset")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parse error.
        #[source]
        source: serde_json::Error,
    },
}

impl VirtualClock {
    /// The machine's time plus `offset`.
    pub fn running(offset: Millis) -> Self {
        Self::new(Base::Running, offset, None)
    }

    /// A clock that stays at `moment` until it is moved, for tests.
    pub fn frozen_at(moment: Timestamp) -> Self {
        Self::new(Base::Frozen(moment), Millis::default(), None)
    }

    /// The machine's time plus the offset that is stored in `dir` (zero at first). Every move is stored before it takes
    /// effect, so that a restart does not move the clock back.
    pub fn kept_in(dir: &Path) -> Result<Self, ClockError> {
        let path = dir.join(CLOCK_FILE);
        let contents = crate::atomic_file::read(&path)
            .map_err(|source| ClockError::Unreadable { path: path.clone(), source })?;
        let offset_ms = match contents {
            None => 0,
            Some(bytes) => {
                serde_json::from_slice::<Kept>(&bytes)
                    .map_err(|source| ClockError::Malformed { path: path.clone(), source })?
                    .offset_ms
            }
        };
        Ok(Self::new(Base::Running, Millis::new(offset_ms), Some(path)))
    }

    fn new(base: Base, offset: Millis, kept_in: Option<PathBuf>) -> Self {
        let (offset, _) = watch::channel(offset.as_millis());
        Self {
            shared: Arc::new(Shared {
                base,
                offset,
                latest: AtomicU64::new(0),
                kept_in: Mutex::new(kept_in),
            }),
        }
    }

    /// Moves the clock forward and returns the new time. If the new offset cannot be stored, the clock is not moved,
    /// because the next start would move it back.
    pub fn advance(&self, by: Millis) -> Timestamp {
        let kept_in = self.shared.kept_in.lock().unwrap_or_else(PoisonError::into_inner);
        let offset_ms = self.offset().as_millis().saturating_add(by.as_millis());
        match kept_in.as_deref().map(|path| keep(path, offset_ms)) {
            Some(Err(error)) => tracing::error!(%error, "the clock was not moved: its offset cannot be kept"),
            Some(Ok(())) | None => {
                self.shared.offset.send_replace(offset_ms);
            }
        }
        drop(kept_in);
        self.now()
    }

    /// The sum of all moves.
    pub fn offset(&self) -> Millis {
        Millis::new(*self.shared.offset.borrow())
    }

    /// Waits for the next [`advance`](Self::advance) after this call. A move before the first poll counts.
    pub fn moved(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut offset = self.shared.offset.subscribe();
        async move {
            if offset.changed().await.is_err() {
                // The clock is gone: it cannot be moved any more.
                std::future::pending::<()>().await;
            }
        }
    }
}

fn keep(path: &Path, offset_ms: u64) -> io::Result<()> {
    let contents = serde_json::to_vec(&Kept { offset_ms })?;
    crate::atomic_file::replace(path, &contents)
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let base = match self.shared.base {
            Base::Running => SystemClock.now(),
            Base::Frozen(moment) => moment,
        };
        let present = (base + self.offset()).as_millis();
        let latest = self.shared.latest.fetch_max(present, Ordering::Relaxed);
        Timestamp::from_millis(present.max(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_moves_only_when_it_is_moved() {
        let clock = VirtualClock::frozen_at(Timestamp::from_millis(1_000));
        assert_eq!(clock.now(), Timestamp::from_millis(1_000));
        assert_eq!(clock.advance(Millis::from_secs(60)), Timestamp::from_millis(61_000));
        assert_eq!(clock.clone().now(), Timestamp::from_millis(61_000));
        assert_eq!(clock.offset(), Millis::from_secs(60));
    }

    #[test]
    fn a_running_clock_is_the_machines_time_plus_its_offset() {
        let clock = VirtualClock::running(Millis::from_days(365));
        let ahead = clock.now().since(SystemClock.now());
        assert!(ahead > Millis::from_days(364) && ahead <= Millis::from_days(366), "{ahead}");
    }

    #[test]
    fn the_offset_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = VirtualClock::kept_in(dir.path()).unwrap();
        assert_eq!(first.offset(), Millis::default());
        let before = first.advance(Millis::from_days(3));
        first.advance(Millis::from_secs(5));
        let second = VirtualClock::kept_in(dir.path()).unwrap();
        assert_eq!(second.offset(), Millis::new(Millis::from_days(3).as_millis() + 5_000));
        assert!(second.now() >= before);
    }

    #[test]
    fn a_file_that_is_no_clock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(CLOCK_FILE), "soon").unwrap();
        assert!(matches!(VirtualClock::kept_in(dir.path()), Err(ClockError::Malformed { .. })));
    }

    #[test]
    fn a_move_that_cannot_be_kept_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let clock = VirtualClock::kept_in(dir.path()).unwrap();
        drop(dir);
        clock.advance(Millis::from_days(1));
        assert_eq!(clock.offset(), Millis::default());
    }

    #[tokio::test]
    async fn a_waiting_task_is_woken_even_by_a_move_before_its_first_poll() {
        let clock = VirtualClock::frozen_at(Timestamp::default());
        let moved = clock.moved();
        clock.advance(Millis::new(1));
        moved.await;
    }
}
