//! Time as the system counts it: whole milliseconds since the Unix epoch, and lengths of time in milliseconds.

use std::fmt;
use std::ops::{Add, Sub};

/// A moment: milliseconds since the Unix epoch, by the server's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u64);

/// By then every reader sees a write, also in an index and from a replica that is behind; both take well below a
/// second. What still contradicts itself is malformed.
pub const SEEN_BY_ALL_AFTER: Millis = Millis::from_secs(10);

impl Timestamp {
    /// The moment `ms` milliseconds after the epoch.
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

    /// The moment as DynamoDB's time to live wants it: in seconds, rounded up, because nothing may go before its time.
    pub const fn as_ttl(self) -> u64 {
        self.0.div_ceil(1_000)
    }

    /// Whether what has this time to live is gone, be it deleted yet or not.
    pub const fn is_past_ttl(self, ttl: u64) -> bool {
        ttl <= self.as_secs()
    }

    /// How long ago `earlier` was; zero when it lies ahead (clocks of two machines may differ).
    pub const fn since(self, earlier: Timestamp) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Millis {
    /// A length of `ms` milliseconds.
    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    /// A length of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000)
    }

    /// A length of `days` days of 24 hours.
    pub const fn from_days(days: u64) -> Self {
        Self(days * 86_400_000)
    }

    /// The length in milliseconds.
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
