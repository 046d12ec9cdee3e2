//! How much a worker may upload. What it announces goes to the bucket without us and lies there for days, so it is the
//! announcement that is bounded.
//!
//! An allowance grows with time, and is one moment: each upload moves it on by the time that it is worth, and it may be a
//! day ahead at most. What a worker has not used is its own, so all that it can ever announce is what its age is worth,
//! and a day's more.

use crate::time::Millis;

/// What a day is worth: 25 of the largest archives, or 512 of the largest files, and far more than work needs.
const BYTES_A_DAY: u64 = 128 * 1024 * 1024 * 1024;
/// How far a worker may be ahead of time.
pub const MAX_AHEAD: Millis = Millis::from_days(1);

/// The time that an upload is worth.
pub fn time_of(bytes: u64) -> Millis {
    let ms = u128::from(bytes) * u128::from(Millis::from_days(1).as_millis());
    Millis::new(u64::try_from(ms.div_ceil(BYTES_A_DAY.into())).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_worth_its_share_of_a_day_and_none_is_worth_nothing() {
        assert_eq!(time_of(BYTES_A_DAY), Millis::from_days(1));
        assert_eq!(time_of(BYTES_A_DAY / 24), Millis::from_secs(60 * 60));
        assert_eq!(time_of(1), Millis::new(1));
        assert_eq!(time_of(u64::MAX), Millis::from_days(u64::MAX / BYTES_A_DAY + 1));
    }
}
