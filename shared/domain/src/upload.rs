//! How much a worker may upload. A worker uploads to the bucket directly, and the objects stay there for
//! days, so the announcements are limited.
//!
//! The allowance grows with time and is stored as one moment. Each upload moves this moment forward by the
//! time that corresponds to its size. The moment may be at most one day in the future. Unused allowance
//! accumulates, so the total of a worker is limited by its age plus one day.

use crate::time::Millis;

/// Bytes per day: 25 of the largest archives, or 512 of the largest files. This is far more than normal work
/// needs.
const BYTES_A_DAY: u64 = 128 * 1024 * 1024 * 1024;
/// How far the moment of a worker may be in the future.
pub const MAX_AHEAD: Millis = Millis::from_days(1);

/// The time that corresponds to an upload of this size.
pub fn allowance_time(bytes: u64) -> Millis {
    let ms = u128::from(bytes) * u128::from(Millis::from_days(1).as_millis());
    Millis::new(u64::try_from(ms.div_ceil(BYTES_A_DAY.into())).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_takes_its_share_of_a_day_and_at_least_one_millisecond() {
        assert_eq!(allowance_time(BYTES_A_DAY), Millis::from_days(1));
        assert_eq!(allowance_time(BYTES_A_DAY / 24), Millis::from_secs(60 * 60));
        assert_eq!(allowance_time(1), Millis::new(1));
        assert_eq!(allowance_time(u64::MAX), Millis::from_days(u64::MAX / BYTES_A_DAY + 1));
    }
}
