//! A small in-memory cache with a time to live. It uses the caller's clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use af_domain::time::{Millis, Timestamp};

/// Most entries. A full cache first drops expired entries and then, if none has expired, all of them. One instance of a
/// function serves fewer distinct keys within their time.
const MAX_ENTRIES: usize = 1_000;

/// Values that are valid for a fixed time.
pub struct Cache<K, V> {
    ttl: Millis,
    entries: Mutex<HashMap<K, (Timestamp, V)>>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// Creates an empty cache whose values are valid for `ttl`.
    pub fn new(ttl: Millis) -> Self {
        Self { ttl, entries: Mutex::default() }
    }

    /// Returns the value, if it is still valid at `now`.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(at, value): &(Timestamp, V)| (now.since(*at) < self.ttl).then(|| value.clone());
        entries.get(key).and_then(fresh)
    }

    /// Stores `value`, which was read at `now`.
    pub fn put(&self, key: K, value: V, now: Timestamp) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&key) {
            entries.retain(|_, (at, _)| now.since(*at) < self.ttl);
            if entries.len() >= MAX_ENTRIES {
                entries.clear();
            }
        }
        entries.insert(key, (now, value));
    }

    /// Removes the value.
    pub fn forget(&self, key: &K) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_valid_for_its_ttl_and_no_longer() {
        let cache = Cache::new(Millis::new(10));
        let at = Timestamp::from_millis;
        cache.put("k", 1, at(100));
        assert_eq!(cache.get(&"k", at(109)), Some(1));
        assert_eq!(cache.get(&"k", at(110)), None);
        cache.put("k", 2, at(200));
        cache.forget(&"k");
        assert_eq!(cache.get(&"k", at(200)), None);
    }
}
