//! Policies: no field accepts a value outside its bounds, and no delay is out of bounds.

use af_domain::policy::{Bounds, FIELDS, Given, Policies, Setting};
use af_domain::time::Millis;
use proptest::prelude::*;

use crate::config;

/// Whole numbers near all bounds, fractions, and values that are not finite.
fn number() -> impl Strategy<Value = f64> {
    #[allow(clippy::cast_precision_loss, reason = "small enough to be whole")]
    let whole = |range: std::ops::Range<u64>| range.prop_map(|n| n as f64);
    prop_oneof![
        whole(0..300),
        whole(0..4_000_000),
        whole(0..1 << 50),
        -10.0..20.0_f64,
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-1.0),
    ]
}

fn accepts(bounds: &Bounds, given: f64) -> bool {
    match bounds {
        Bounds::Number(range) => {
            #[allow(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
            let within = given >= *range.start() as f64 && given <= *range.end() as f64;
            within && given.fract() == 0.0
        }
        Bounds::Ratio(range) => range.contains(&given),
        Bounds::Words(_) => false,
    }
}

fn number_of(setting: &Setting) -> Option<f64> {
    match setting {
        #[allow(clippy::cast_precision_loss, reason = "the setting was a whole number")]
        Setting::Number(n) => Some(*n as f64),
        Setting::Ratio(r) => Some(*r),
        Setting::Word(_) => None,
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_field_accepts_exactly_the_values_within_its_bounds(given in number()) {
        for field in FIELDS {
            let mut policies = Policies::default();
            let set = policies.set(field.group, field.name, &Given::Number(given));
            prop_assert_eq!(set.is_ok(), accepts(&field.bounds, given), "{}.{} = {}", field.group, field.name, given);
            match set {
                Ok(()) => prop_assert_eq!(number_of(&(field.get)(&policies)), Some(given)),
                Err(_) => prop_assert_eq!(policies, Policies::default()),
            }
        }
    }

    #[test]
    fn a_field_accepts_exactly_its_own_words(word in "[a-z]{0,9}|block|overtake") {
        for field in FIELDS {
            let own = matches!(&field.bounds, Bounds::Words(words) if words.contains(&word.as_str()));
            let mut policies = Policies::default();
            let set = policies.set(field.group, field.name, &Given::Text(&word));
            prop_assert_eq!(set.is_ok(), own);
            prop_assert!(policies.set(field.group, field.name, &Given::Other).is_err());
        }
    }

    #[test]
    fn retry_delays_grow_and_stay_within_their_bounds(
        base in 0..=3_600_000_u64,
        max in 0..=86_400_000_u64,
        factor in 1.0..=10.0_f64,
        jitter_ratio in 0.0..=1.0_f64,
        jitter in 0.0..1.0_f64,
        attempts in 1..=100_u32,
    ) {
        let mut policies = Policies::default();
        policies.retry.base_delay = Millis::new(base);
        policies.retry.max_delay = Millis::new(max);
        policies.retry.backoff_factor = factor;
        policies.retry.jitter_ratio = jitter_ratio;
        let delay = |attempts, jitter| policies.retry_delay(attempts, jitter).as_millis();
        prop_assert!(delay(attempts, 0.0) >= base.min(max));
        prop_assert!(delay(attempts, 0.0) <= max);
        prop_assert!(delay(attempts, 0.0) <= delay(attempts + 1, 0.0));
        prop_assert!(delay(attempts, jitter) >= delay(attempts, 0.0), "jitter only adds");
        #[allow(clippy::cast_precision_loss, reason = "delays are far below 2^53 ms")]
        let most = max as f64 * (1.0 + jitter_ratio);
        prop_assert!(delay(attempts, jitter) as f64 <= most);
    }
}
