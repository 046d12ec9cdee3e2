//! The source of randomness. It is seeded by the operating system in production and by a number in a
//! simulation.

use std::sync::{Mutex, PoisonError};

use af_domain::time::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use ulid::Ulid;

/// A random generator shared by many tasks. The generator is cryptographically strong (ChaCha), so it can be
/// used for both jitter and secrets.
pub struct Entropy(Mutex<StdRng>);

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}

impl Entropy {
    /// Creates a generator seeded by the operating system.
    pub fn from_os() -> Self {
        Self(Mutex::new(StdRng::from_os_rng()))
    }

    /// Creates a generator seeded by `seed`. The same seed gives the same sequence.
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a random 64-bit number.
    pub fn next_u64(&self) -> u64 {
        self.with(|rng| rng.next_u64())
    }

    /// Returns a random number in `0..bound`, or zero if `bound` is zero.
    pub fn below(&self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.with(|rng| rng.random_range(0..bound)) }
    }

    /// Returns a random number in `0.0..1.0`.
    pub fn unit(&self) -> f64 {
        self.with(|rng| rng.random::<f64>())
    }

    /// Returns `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        self.with(|rng| {
            let mut bytes = [0; N];
            rng.fill_bytes(&mut bytes);
            bytes
        })
    }

    /// Returns a ULID of the moment `now`. It sorts by time and ends with 80 random bits.
    pub fn ulid(&self, now: Timestamp) -> String {
        let tail = u128::from_be_bytes(self.bytes::<16>()) & ((1 << 80) - 1);
        Ulid::from_parts(now.as_millis(), tail).to_string()
    }
}
