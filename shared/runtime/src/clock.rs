//! The one clock. Everything that needs the present time is handed one of these; `agent-factory dev` and the
//! tests hand over a clock that can be moved.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use af_domain::time::Timestamp;

/// A source of the present time.
pub trait Clock: Send + Sync + 'static {
    /// The present moment by this clock.
    fn now(&self) -> Timestamp;
}

/// A clock that many tasks share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let elapsed = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}
