//! Exponential backoff with jitter.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The longest first wait.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait: the worker notices within seconds that a server has recovered, and does not overload a failed one.
const LONGEST: Duration = Duration::from_secs(5);
/// Doublings after which the longest wait is reached.
const MAX_DOUBLINGS: u32 = 5;

/// Waits that double. Each is a random time between half and all of the full wait, so that many workers do not call at
/// the same moment.
pub struct Backoff {
    rng: StdRng,
    tries: u32,
}

impl Backoff {
    pub fn new() -> Self {
        Self { rng: StdRng::from_os_rng(), tries: 0 }
    }

    /// The next wait.
    pub fn next(&mut self) -> Duration {
        let whole = (FIRST * 2u32.pow(self.tries.min(MAX_DOUBLINGS))).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        whole.mul_f64(self.rng.random_range(0.5..=1.0))
    }

    /// Starts again with the first wait, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_start_again_after_a_success() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..10).map(|_| backoff.next()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits[6..].iter().all(|wait| *wait >= LONGEST / 2 && *wait <= LONGEST), "{waits:?}");
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
