//! The one source of randomness: seeded by the operating system in production, by a number in a simulation.

use std::sync::{Mutex, PoisonError};

use af_domain::time::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use ulid::Ulid;

/// A random generator that many tasks share. The generator is cryptographically strong (ChaCha), so the same
/// source serves jitter and secrets.
pub struct Entropy(Mutex<StdRng>);

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}

impl Entropy {
    /// Seeded by the operating system.
    pub fn from_os() -> Self {
        Self(Mutex::new(StdRng::from_os_rng()))
    }

    /// Seeded by `seed`: the same seed gives the same sequence.
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Any 64-bit number.
    pub fn next_u64(&self) -> u64 {
        self.with(|rng| rng.next_u64())
    }

    /// A number in `0..bound`; zero when `bound` is zero.
    pub fn below(&self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.with(|rng| rng.random_range(0..bound)) }
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&self) -> f64 {
        self.with(|rng| rng.random::<f64>())
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        self.with(|rng| {
            let mut bytes = [0; N];
            rng.fill_bytes(&mut bytes);
            bytes
        })
    }

    /// A ULID of the moment `now`: sorts by time, ends in 80 random bits.
    pub fn ulid(&self, now: Timestamp) -> String {
        let tail = u128::from_be_bytes(self.bytes::<16>()) & ((1 << 80) - 1);
        Ulid::from_parts(now.as_millis(), tail).to_string()
    }
}
