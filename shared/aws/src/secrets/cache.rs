//! A cache of secret values.

use std::collections::HashMap;

use af_domain::ids::SecretRef;
use af_domain::time::{Millis, Timestamp};
use secrecy::SecretString;

/// How long a value is cached. A rotation is noticed after this time at the latest.
const VALUE_TTL: Millis = Millis::from_secs(5 * 60);

/// How long an absence is cached. It is short, because the usual next step is an import of the secret.
const ABSENCE_TTL: Millis = Millis::from_secs(30);

/// Most cached secrets. A deployment has a few per agent. The limit prevents made-up refs from filling the
/// function's memory.
const MAX_ENTRIES: usize = 2_000;

/// Cached values and absences, each with its read time.
#[derive(Default)]
pub(super) struct Cache {
    entries: HashMap<SecretRef, Entry>,
    changes: u64,
}

struct Entry {
    value: Option<SecretString>,
    read_at: Timestamp,
}

impl Entry {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let ttl = if self.value.is_some() { VALUE_TTL } else { ABSENCE_TTL };
        now.since(self.read_at) < ttl
    }
}

impl Cache {
    /// Returns the cached value or absence of `secret` at `now`; `None` if it is not cached.
    pub(super) fn get(&self, secret: &SecretRef, now: Timestamp) -> Option<Option<SecretString>> {
        self.entries.get(secret).filter(|entry| entry.is_fresh(now)).map(|entry| entry.value.clone())
    }

    /// The number of invalidations. A reader passes it to [`Cache::keep`] after its read.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Caches a value that was read, unless a secret was invalidated since `seen`: the value may then be
    /// older than the change that caused the invalidation.
    pub(super) fn keep(&mut self, secret: SecretRef, value: Option<SecretString>, now: Timestamp, seen: u64) {
        if self.changes != seen {
            return;
        }
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&secret) {
            self.make_room(now);
        }
        self.entries.insert(secret, Entry { value, read_at: now });
    }

    /// Removes `secret` from the cache.
    pub(super) fn forget(&mut self, secret: &SecretRef) {
        self.changes += 1;
        self.entries.remove(secret);
    }

    /// Drops the expired entries. If there are none, drops all entries, which costs one more read each.
    fn make_room(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| entry.is_fresh(now));
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn secret(name: &str) -> SecretRef {
        SecretRef::parse(name).unwrap()
    }

    fn kept(value: Option<&str>) -> Cache {
        let mut cache = Cache::default();
        cache.keep(secret("a"), value.map(Into::into), START, 0);
        cache
    }

    fn exposed(cache: &Cache, now: Timestamp) -> Option<Option<String>> {
        cache.get(&secret("a"), now).map(|value| value.map(|value| value.expose_secret().to_owned()))
    }

    #[test]
    fn a_value_is_cached_for_less_than_five_minutes() {
        let cache = kept(Some("v"));
        assert_eq!(exposed(&cache, START + Millis::new(299_999)), Some(Some("v".into())));
        assert_eq!(exposed(&cache, START + Millis::new(300_000)), None);
    }

    #[test]
    fn an_absence_is_cached_for_less_than_thirty_seconds() {
        let cache = kept(None);
        assert_eq!(exposed(&cache, START + Millis::new(29_999)), Some(None));
        assert_eq!(exposed(&cache, START + Millis::new(30_000)), None);
    }

    #[test]
    fn an_invalidated_value_is_not_cached() {
        let mut cache = kept(Some("v"));
        cache.forget(&secret("a"));
        assert_eq!(exposed(&cache, START), None);
    }

    #[test]
    fn a_value_read_before_a_change_is_not_cached() {
        let mut cache = Cache::default();
        let seen = cache.changes();
        cache.forget(&secret("a"));
        cache.keep(secret("a"), Some("old".into()), START, seen);
        assert_eq!(exposed(&cache, START), None);
    }

    #[test]
    fn a_clock_set_back_does_not_expire_values() {
        assert_eq!(exposed(&kept(Some("v")), START - Millis::from_secs(60)), Some(Some("v".into())));
    }

    #[test]
    fn the_cache_size_is_limited() {
        let mut cache = Cache::default();
        for n in 0..3 * MAX_ENTRIES {
            cache.keep(secret(&format!("s{n}")), None, START, 0);
            assert!(cache.entries.len() <= MAX_ENTRIES);
        }
        assert!(cache.get(&secret(&format!("s{}", 3 * MAX_ENTRIES - 1)), START).is_some());
    }
}
