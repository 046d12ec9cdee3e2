//! Slots of push jobs: in every zone, each day of the schedule has one slot, at its time or at the end of a gap.

use std::collections::BTreeSet;

use af_domain::push::{DayOfMonth, Schedule, SlotTime, Weekday, ZoneName, next_slot};
use af_domain::time::{Millis, Timestamp};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;

use crate::config;

/// 2020-01-01 and 2036-01-01 in UTC.
const YEARS: std::ops::Range<u64> = 1_577_836_800_000..2_082_758_400_000;
const DAY: u64 = 86_400_000;

pub(crate) fn time() -> impl Strategy<Value = SlotTime> {
    // Most clocks change at night.
    let hour = prop_oneof![0..4_u32, 0..24_u32];
    (hour, 0..60_u32).prop_map(|(hour, minute)| SlotTime::parse(&format!("{hour:02}:{minute:02}")).unwrap())
}

pub(crate) fn schedule() -> impl Strategy<Value = Schedule> {
    prop_oneof![
        time().prop_map(|time| Schedule::Daily { time }),
        (1..=7_u64, time())
            .prop_map(|(day, time)| Schedule::Weekly { weekday: Weekday::new(day).unwrap(), time }),
        (1..=31_u64, time())
            .prop_map(|(day, time)| Schedule::Monthly { day: DayOfMonth::new(day).unwrap(), time }),
        time().prop_map(|time| Schedule::Monthly { day: DayOfMonth::Last, time }),
    ]
}

fn moment(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(i64::try_from(at.as_millis()).unwrap()).unwrap()
}

fn zone_of(name: &ZoneName) -> TimeZone {
    TimeZoneDatabase::bundled().get(name.as_str()).unwrap()
}

/// The names of all zones of the database.
fn zone_names() -> Vec<String> {
    TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect()
}

/// Whether the schedule names `date`, by its definition.
fn names(schedule: &Schedule, date: Date) -> bool {
    match schedule {
        Schedule::Manual => false,
        Schedule::Daily { .. } => true,
        Schedule::Weekly { weekday, .. } => {
            u64::from(date.weekday().to_monday_one_offset().unsigned_abs()) == weekday.number()
        }
        Schedule::Monthly { day: DayOfMonth::Last, .. } => date.tomorrow().unwrap().day() == 1,
        Schedule::Monthly { day: DayOfMonth::Number(day), .. } => {
            let ends = date.tomorrow().unwrap().day() == 1;
            date.day().unsigned_abs() == *day || (ends && date.day().unsigned_abs() < *day)
        }
    }
}

/// The first moment at which the clock of `zone` shows `time` of `date` or more, found minute by minute.
fn first_moment(zone: &TimeZone, date: Date, time: SlotTime) -> u64 {
    let wall = format!("{date}T{time}:00").parse::<jiff::civil::DateTime>().unwrap();
    let start = wall.to_zoned(TimeZone::UTC).unwrap().timestamp();
    // No offset is larger than 15 hours. Every change of a clock since 2020 is at a full minute.
    let mut at = start.checked_sub(15.hours()).unwrap();
    while zone.to_datetime(at) < wall {
        at = at.checked_add(1.hour()).unwrap();
    }
    // An hour that is shown twice may lie between two of these steps.
    at = at.checked_sub(3.hours()).unwrap();
    while zone.to_datetime(at) < wall {
        at = at.checked_add(1.minute()).unwrap();
    }
    u64::try_from(at.as_millisecond()).unwrap()
}

/// Asserts that the slot after `after` is in the set of slots, and that no slot is between.
fn check_next(zone: &ZoneName, schedule: &Schedule, after: Timestamp) -> Timestamp {
    let next = next_slot(schedule, zone, after, None).unwrap().unwrap();
    assert!(next.at > after, "{zone} {schedule:?}");
    let rules = zone_of(zone);
    let (mut day, until) =
        (rules.to_datetime(moment(after)).date(), rules.to_datetime(moment(next.at)).date());
    day = day.yesterday().unwrap();
    let mut slots = BTreeSet::new();
    while day <= until {
        if names(schedule, day) {
            slots.insert(first_moment(&rules, day, schedule.time().unwrap()));
        }
        day = day.tomorrow().unwrap();
    }
    let expected = slots.into_iter().find(|at| *at > after.as_millis());
    assert_eq!(Some(next.at.as_millis()), expected, "{zone} {schedule:?} after {}", moment(after));
    next.at
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_next_slot_is_in_the_set_and_none_is_missed(
        zone in prop::sample::select(zone_names()),
        schedule in schedule(),
        after in YEARS,
    ) {
        let zone = ZoneName::parse(&zone).unwrap();
        let next = check_next(&zone, &schedule, Timestamp::from_millis(after));
        check_next(&zone, &schedule, next);
        // Every moment before the slot has the same next slot.
        let between = Timestamp::from_millis(after + (next.as_millis() - after) / 2);
        prop_assert_eq!(next_slot(&schedule, &zone, between, None).unwrap().unwrap().at, next);
        prop_assert_eq!(next_slot(&schedule, &zone, next - Millis::new(1), None).unwrap().unwrap().at, next);
    }
}

#[test]
fn every_change_of_a_clock_in_every_zone_keeps_one_slot_a_day() {
    let (mut changes, mut zones) = (0, BTreeSet::new());
    for name in zone_names() {
        let Ok(zone) = ZoneName::parse(&name) else { panic!("{name} is listed and unknown") };
        let rules = zone_of(&zone);
        let (from, until) =
            (moment(Timestamp::from_millis(YEARS.start)), moment(Timestamp::from_millis(YEARS.end)));
        let all: Vec<_> = rules.following(from).take_while(|change| change.timestamp() < until).collect();
        // Many names mean the same rules, which are tried once.
        let signature = (
            rules.to_offset(from).seconds(),
            all.iter().map(|change| (change.timestamp(), change.offset())).collect::<Vec<_>>(),
        );
        if !zones.insert(format!("{signature:?}")) {
            continue;
        }
        for change in all {
            changes += 1;
            let at = Timestamp::from_millis(u64::try_from(change.timestamp().as_millisecond()).unwrap());
            let before = rules.to_datetime(moment(at - Millis::new(60_000)));
            // A time in the gap, or one that is shown twice.
            let time = before.time().round(jiff::Unit::Minute).unwrap();
            let time = SlotTime::parse(&format!("{:02}:{:02}", time.hour(), time.minute())).unwrap();
            let mut after = check_next(&zone, &Schedule::Daily { time }, at - Millis::new(DAY));
            for _ in 0..2 {
                let next = next_slot(&Schedule::Daily { time }, &zone, after, None).unwrap().unwrap().at;
                let hours = next.since(after).as_millis() / 3_600_000;
                assert!((21..=27).contains(&hours), "{zone}: {hours} hours between two days at {time}");
                after = next;
            }
        }
    }
    assert!(zones.len() > 60 && changes > 1_000, "{} sets of rules, {changes} changes", zones.len());
}
