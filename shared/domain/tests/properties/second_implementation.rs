//! A second implementation with other authors and another copy of the time zone database agrees: `croner` with `chrono-tz`.

use af_domain::push::{DayOfMonth, Schedule, ZoneName, next_slot};
use af_domain::time::Timestamp;
use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::Cron;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::config;
use crate::schedules::schedule;

/// Random slots that are compared.
const SLOTS: u32 = 10_000;
/// 2020-01-01 and 2025-01-01 in UTC, in seconds, because `croner` counts in seconds. Later rules of a zone may differ
/// between two editions of the database.
const SETTLED_YEARS: std::ops::Range<u64> = 1_577_836_800..1_735_689_600;
/// 2025-01-01 and 2036-01-01 in UTC, for zones whose rules have not changed for many years.
const LATER_YEARS: std::ops::Range<u64> = 1_735_689_600..2_082_758_400;
const STEADY_ZONES: [&str; 6] =
    ["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Pacific/Auckland", "Asia/Kolkata", "UTC"];

/// Returns the same schedule as patterns of cron. Cron has no day that moves to the end of a shorter month, so the 29 and
/// the 30 have a second pattern for February.
fn patterns(schedule: &Schedule) -> Vec<String> {
    let time = schedule.time().unwrap().to_string();
    let (hour, minute) = time.split_once(':').unwrap();
    match schedule {
        Schedule::Manual => Vec::new(),
        Schedule::Daily { .. } => vec![format!("{minute} {hour} * * *")],
        Schedule::Weekly { weekday, .. } => vec![format!("{minute} {hour} * * {}", weekday.number() % 7)],
        Schedule::Monthly { day: DayOfMonth::Last | DayOfMonth::Number(31), .. } => {
            vec![format!("{minute} {hour} L * *")]
        }
        Schedule::Monthly { day: DayOfMonth::Number(day @ 29..), .. } => {
            vec![
                format!("{minute} {hour} {day} 1,3-12 *"),
                format!("{minute} {hour} 28 2 *"),
                format!("{minute} {hour} 29 2 *"),
            ]
        }
        Schedule::Monthly { day: DayOfMonth::Number(day), .. } => vec![format!("{minute} {hour} {day} * *")],
    }
}

fn by_croner(schedule: &Schedule, zone: Tz, after: Timestamp) -> u64 {
    let after = i64::try_from(after.as_millis()).unwrap();
    let start: DateTime<Tz> = Utc.timestamp_millis_opt(after).unwrap().with_timezone(&zone);
    let next = |pattern: String| {
        let cron: Cron = pattern.parse().unwrap();
        let mut at = start;
        loop {
            at = cron.find_next_occurrence(&at, false).unwrap();
            // In a leap year, the pattern for 28 February is not the last day.
            let leap = chrono::NaiveDate::from_ymd_opt(chrono::Datelike::year(&at), 2, 29).is_some();
            if !(leap && pattern.ends_with(" 28 2 *")) {
                return u64::try_from(at.timestamp_millis()).unwrap();
            }
        }
    };
    patterns(schedule).into_iter().map(next).min().unwrap()
}

#[test]
fn another_implementation_computes_the_same_slots() {
    let mut runner = TestRunner::new(proptest::test_runner::Config { cases: SLOTS, ..config() });
    let settled = (prop::sample::select(TZ_VARIANTS.to_vec()), SETTLED_YEARS);
    let later =
        (prop::sample::select(STEADY_ZONES.to_vec()).prop_map(|z| z.parse::<Tz>().unwrap()), LATER_YEARS);
    runner
        .run(&(prop_oneof![settled, later], schedule()), |((tz, after), schedule)| {
            let after = Timestamp::from_millis(after * 1_000);
            // The other database still has names that were removed from this one.
            let Ok(zone) = ZoneName::parse(tz.name()) else { return Ok(()) };
            let ours = next_slot(&schedule, &zone, after, None).unwrap().unwrap().at.as_millis();
            prop_assert_eq!(ours, by_croner(&schedule, tz, after), "{} {:?} after {}", zone, schedule, after);
            Ok(())
        })
        .unwrap();
}
