//! Slots that were worked out by hand, with the moment in UTC: changes of the clocks, ends of months and years.

use af_domain::push::{DayOfMonth, Schedule, SlotTime, Weekday, ZoneName, next_slot};
use af_domain::time::Timestamp;

/// Reads `2026-03-29T01:00` in UTC.
fn utc(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = format!("{text}:00Z").parse().unwrap();
    Timestamp::from_millis(u64::try_from(moment.as_millisecond()).unwrap())
}

fn at(time: &str) -> SlotTime {
    SlotTime::parse(time).unwrap()
}

fn daily(time: &str) -> Schedule {
    Schedule::Daily { time: at(time) }
}

fn weekly(weekday: u64, time: &str) -> Schedule {
    Schedule::Weekly { weekday: Weekday::new(weekday).unwrap(), time: at(time) }
}

fn monthly(day: u64, time: &str) -> Schedule {
    Schedule::Monthly { day: DayOfMonth::new(day).unwrap(), time: at(time) }
}

fn last_day(time: &str) -> Schedule {
    Schedule::Monthly { day: DayOfMonth::Last, time: at(time) }
}

/// Asserts that the slots after `from` are `expected`.
fn assert_slots(zone: &str, schedule: Schedule, from: &str, expected: &[&str]) {
    let zone = ZoneName::parse(zone).unwrap();
    let (mut after, mut last) = (utc(from), None);
    for (place, expected) in expected.iter().enumerate() {
        let slot = next_slot(&schedule, &zone, after, last).unwrap().unwrap();
        let shown = jiff::Timestamp::from_millisecond(i64::try_from(slot.at.as_millis()).unwrap()).unwrap();
        assert_eq!(slot.at, utc(expected), "slot {place} of {schedule:?} in {zone} is {shown}");
        // A job knows the day of its last slot. The first slot after a moment must not depend on that.
        assert_eq!(next_slot(&schedule, &zone, after, None).unwrap().unwrap().at, slot.at);
        (after, last) = (slot.at, Some(slot.day));
    }
}

#[test]
fn rome_skips_an_hour_in_march_and_repeats_one_in_october() {
    // 02:00 CET is followed by 03:00 CEST, which is 01:00 UTC.
    let march = ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"];
    assert_slots("Europe/Rome", daily("02:30"), "2026-03-27T12:00", &march);
    let first_skipped = ["2026-03-28T01:00", "2026-03-29T01:00", "2026-03-30T00:00"];
    assert_slots("Europe/Rome", daily("02:00"), "2026-03-27T12:00", &first_skipped);
    let end_of_gap = ["2026-03-28T02:00", "2026-03-29T01:00", "2026-03-30T01:00"];
    assert_slots("Europe/Rome", daily("03:00"), "2026-03-27T12:00", &end_of_gap);
    let october = ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"];
    assert_slots("Europe/Rome", daily("02:30"), "2026-10-23T12:00", &october);
    let morning = ["2026-03-28T08:30", "2026-03-29T07:30", "2026-03-30T07:30"];
    assert_slots("Europe/Rome", daily("09:30"), "2026-03-27T12:00", &morning);
}

#[test]
fn new_york_skips_an_hour_in_march_and_repeats_one_in_november() {
    let march = ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"];
    assert_slots("America/New_York", daily("02:30"), "2026-03-06T12:00", &march);
    let november = ["2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"];
    assert_slots("America/New_York", daily("01:30"), "2026-10-30T12:00", &november);
    // The clocks change on a Sunday.
    assert_slots(
        "America/New_York",
        weekly(7, "02:30"),
        "2026-03-02T12:00",
        &["2026-03-08T07:00", "2026-03-15T06:30"],
    );
}

#[test]
fn lord_howe_moves_its_clocks_by_half_an_hour() {
    // In April 02:00 +11:00 is followed by 01:30 +10:30. In October 02:00 +10:30 is followed by 02:30 +11:00.
    let april = ["2026-04-03T14:45", "2026-04-04T14:45", "2026-04-05T15:15"];
    assert_slots("Australia/Lord_Howe", daily("01:45"), "2026-04-03T00:00", &april);
    let october = ["2026-10-02T15:45", "2026-10-03T15:30", "2026-10-04T15:15"];
    assert_slots("Australia/Lord_Howe", daily("02:15"), "2026-10-02T00:00", &october);
}

#[test]
fn casablanca_sets_its_clocks_back_for_ramadan() {
    // On 23 February 2025, 03:00 +01 is followed by 02:00 +00. On 6 April, 02:00 +00 is followed by 03:00 +01.
    let february = ["2025-02-22T01:30", "2025-02-23T01:30", "2025-02-24T02:30"];
    assert_slots("Africa/Casablanca", daily("02:30"), "2025-02-21T12:00", &february);
    let april = ["2025-04-05T02:30", "2025-04-06T02:00", "2025-04-07T01:30"];
    assert_slots("Africa/Casablanca", daily("02:30"), "2025-04-04T12:00", &april);
}

#[test]
fn apia_had_no_30_december_2011() {
    // 29 December 24:00 −10:00 is followed by 31 December 00:00 +14:00, which is 30 December 10:00 UTC.
    let daily_slots = ["2011-12-29T19:30", "2011-12-30T10:00", "2011-12-30T19:30", "2011-12-31T19:30"];
    assert_slots("Pacific/Apia", daily("09:30"), "2011-12-29T00:00", &daily_slots);
    // 30 December 2011 was a Friday.
    assert_slots(
        "Pacific/Apia",
        weekly(5, "09:30"),
        "2011-12-24T00:00",
        &["2011-12-30T10:00", "2012-01-05T19:30"],
    );
    // Two days have their slot at the same moment. The job runs once.
    let midnight = ["2011-12-29T10:00", "2011-12-30T10:00", "2011-12-31T10:00"];
    assert_slots("Pacific/Apia", daily("00:00"), "2011-12-28T12:00", &midnight);
}

#[test]
fn a_day_beyond_the_end_of_a_month_is_its_last_day() {
    let year =
        ["2026-01-31T12:00", "2026-02-28T12:00", "2026-03-31T12:00", "2026-04-30T12:00", "2026-05-31T12:00"];
    assert_slots("UTC", monthly(31, "12:00"), "2026-01-01T00:00", &year);
    assert_slots("UTC", last_day("12:00"), "2026-01-01T00:00", &year);
    let thirtieth = ["2026-01-30T12:00", "2026-02-28T12:00", "2026-03-30T12:00"];
    assert_slots("UTC", monthly(30, "12:00"), "2026-01-01T00:00", &thirtieth);
    assert_slots("UTC", monthly(1, "00:00"), "2026-11-30T23:59", &["2026-12-01T00:00", "2027-01-01T00:00"]);
}

#[test]
fn the_29_february_is_used_in_leap_years() {
    let leap = ["2028-01-29T06:00", "2028-02-29T06:00", "2028-03-29T06:00"];
    assert_slots("UTC", monthly(29, "06:00"), "2028-01-01T00:00", &leap);
    assert_slots("UTC", last_day("06:00"), "2028-02-01T00:00", &["2028-02-29T06:00"]);
    assert_slots("UTC", last_day("06:00"), "2027-02-01T00:00", &["2027-02-28T06:00"]);
    assert_slots("UTC", monthly(29, "06:00"), "2100-02-01T00:00", &["2100-02-28T06:00", "2100-03-29T06:00"]);
    assert_slots("UTC", daily("06:00"), "2028-02-28T07:00", &["2028-02-29T06:00", "2028-03-01T06:00"]);
}

#[test]
fn weeks_go_on_across_the_end_of_a_year() {
    // 28 December 2026 and 4 January 2027 are Mondays.
    let mondays = ["2026-12-28T08:00", "2027-01-04T08:00", "2027-01-11T08:00"];
    assert_slots("Europe/Rome", weekly(1, "09:00"), "2026-12-25T00:00", &mondays);
    assert_slots(
        "Europe/Rome",
        weekly(7, "09:00"),
        "2026-12-25T00:00",
        &["2026-12-27T08:00", "2027-01-03T08:00"],
    );
}

#[test]
fn the_day_is_the_one_of_the_zone_and_the_slot_itself_is_not_after_itself() {
    // 1 January 00:15 in Auckland is 31 December in UTC.
    assert_slots("Pacific/Auckland", monthly(1, "00:15"), "2026-12-01T00:00", &["2026-12-31T11:15"]);
    assert_slots("America/Los_Angeles", last_day("23:45"), "2026-11-15T00:00", &["2026-12-01T07:45"]);
    assert_slots("Asia/Kathmandu", daily("09:30"), "2026-11-30T03:45", &["2026-12-01T03:45"]);
}

#[test]
fn times_days_and_zones_that_do_not_exist_are_refused() {
    for bad in ["24:00", "9:30", "09:60", "09-30", "", "09:30:00", "+9:30", "0a:00", "*/5"] {
        assert_eq!(SlotTime::parse(bad), None, "{bad}");
    }
    assert!(Weekday::new(0).is_none() && Weekday::new(8).is_none() && Weekday::new(7).is_some());
    assert!(DayOfMonth::new(0).is_none() && DayOfMonth::new(32).is_none() && DayOfMonth::new(31).is_some());
    for bad in ["Mars/Olympus", "", "CEST", "+02:00", "Etc/Unknown", "../etc/passwd"] {
        assert!(ZoneName::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(ZoneName::parse("europe/rome").unwrap().as_str(), "Europe/Rome", "in its usual spelling");
    assert_eq!(
        next_slot(&Schedule::Manual, &ZoneName::parse("UTC").unwrap(), utc("2026-01-01T00:00"), None),
        Ok(None)
    );
}
