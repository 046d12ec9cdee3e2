//! Time: timestamps in whole milliseconds since the Unix epoch, and durations in milliseconds.

use std::fmt;
use std::ops::{Add, Sub};

/// A moment in milliseconds since the Unix epoch, by the server's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u64);

/// After this time every reader sees a write, even through an index or a replica that lags. Both usually lag
/// by far less than a second. A contradiction that remains after this time is a malformed state.
pub const MAX_REPLICATION_LAG: Millis = Millis::from_secs(10);

impl Timestamp {
    /// Creates the moment `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// The moment as a DynamoDB time to live: in seconds, rounded up, so that no item expires before its
    /// time.
    pub const fn as_ttl(self) -> u64 {
        self.0.div_ceil(1_000)
    }

    /// Whether an item with this time to live has expired, even if it is not deleted yet.
    pub const fn is_past_ttl(self, ttl: u64) -> bool {
        ttl <= self.as_secs()
    }

    /// The time since `earlier`, or zero if `earlier` is in the future (the clocks of two machines may
    /// differ).
    pub const fn since(self, earlier: Timestamp) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Millis {
    /// Creates a duration of `ms` milliseconds.
    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    /// Creates a duration of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000)
    }

    /// Creates a duration of `days` days of 24 hours.
    pub const fn from_days(days: u64) -> Self {
        Self(days * 86_400_000)
    }

    /// The duration in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl Add<Millis> for Timestamp {
    type Output = Timestamp;
    fn add(self, length: Millis) -> Timestamp {
        Timestamp(self.0.saturating_add(length.0))
    }
}

impl Sub<Millis> for Timestamp {
    type Output = Timestamp;
    fn sub(self, length: Millis) -> Timestamp {
        Timestamp(self.0.saturating_sub(length.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_never_ends_before_its_moment() {
        let end = Timestamp::from_millis(5_001);
        assert_eq!(end.as_ttl(), 6);
        assert!(!end.is_past_ttl(end.as_ttl()));
        assert!(
            !Timestamp::from_millis(5_999).is_past_ttl(6) && Timestamp::from_millis(6_000).is_past_ttl(6)
        );
        assert_eq!(Timestamp::from_millis(5_000).as_ttl(), 5);
    }
}
