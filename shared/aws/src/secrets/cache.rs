//! Values that were read a moment ago.

use std::collections::HashMap;

use af_domain::ids::SecretRef;
use af_domain::time::{Millis, Timestamp};
use secrecy::SecretString;

/// How long a value is good for: a rotation is noticed after that at the latest.
const VALUE_GOOD_FOR: Millis = Millis::from_secs(5 * 60);

/// How long an absence is good for: short, because the usual next step is that somebody imports the secret.
const ABSENCE_GOOD_FOR: Millis = Millis::from_secs(30);

/// How many secrets are kept. A deployment has a few per agent; the bound keeps a list of made-up refs from
/// filling the function's memory.
const MAX_ENTRIES: usize = 2_000;

/// What is known, and since when.
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
    fn is_good(&self, now: Timestamp) -> bool {
        let good_for = if self.value.is_some() { VALUE_GOOD_FOR } else { ABSENCE_GOOD_FOR };
        now.since(self.read_at) < good_for
    }
}

impl Cache {
    /// What is known of `secret` at `now`: a value, `Some(None)` for its absence, or nothing.
    pub(super) fn get(&self, secret: &SecretRef, now: Timestamp) -> Option<Option<SecretString>> {
        self.entries.get(secret).filter(|entry| entry.is_good(now)).map(|entry| entry.value.clone())
    }

    /// How often something was forgotten; asked before a read, told again with [`Cache::keep`].
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Keeps what was read, unless something was forgotten since `seen`: then it may have been read before the
    /// change that made somebody forget.
    pub(super) fn keep(&mut self, secret: SecretRef, value: Option<SecretString>, now: Timestamp, seen: u64) {
        if self.changes != seen {
            return;
        }
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&secret) {
            self.make_room(now);
        }
        self.entries.insert(secret, Entry { value, read_at: now });
    }

    /// Forgets `secret`.
    pub(super) fn forget(&mut self, secret: &SecretRef) {
        self.changes += 1;
        self.entries.remove(secret);
    }

    /// Drops what is out of date, and when nothing is, everything: that costs one more read each.
    fn make_room(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| entry.is_good(now));
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
    fn a_value_is_good_for_less_than_five_minutes() {
        let cache = kept(Some("v"));
        assert_eq!(exposed(&cache, START + Millis::new(299_999)), Some(Some("v".into())));
        assert_eq!(exposed(&cache, START + Millis::new(300_000)), None);
    }

    #[test]
    fn an_absence_is_good_for_less_than_thirty_seconds() {
        let cache = kept(None);
        assert_eq!(exposed(&cache, START + Millis::new(29_999)), Some(None));
        assert_eq!(exposed(&cache, START + Millis::new(30_000)), None);
    }

    #[test]
    fn a_forgotten_value_is_unknown() {
        let mut cache = kept(Some("v"));
        cache.forget(&secret("a"));
        assert_eq!(exposed(&cache, START), None);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let mut cache = Cache::default();
        let seen = cache.changes();
        cache.forget(&secret("a"));
        cache.keep(secret("a"), Some("old".into()), START, seen);
        assert_eq!(exposed(&cache, START), None);
    }

    #[test]
    fn a_clock_set_back_does_not_make_values_stale() {
        assert_eq!(exposed(&kept(Some("v")), START - Millis::from_secs(60)), Some(Some("v".into())));
    }

    #[test]
    fn the_cache_stays_bounded() {
        let mut cache = Cache::default();
        for n in 0..3 * MAX_ENTRIES {
            cache.keep(secret(&format!("s{n}")), None, START, 0);
            assert!(cache.entries.len() <= MAX_ENTRIES);
        }
        assert!(cache.get(&secret(&format!("s{}", 3 * MAX_ENTRIES - 1)), START).is_some());
    }
}
