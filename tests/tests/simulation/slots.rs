//! The slots of push jobs in the months around a world, computed without the code under test.

use crate::push::ZONES;

/// The first of January 2026, a Thursday, on which every world begins, in days since 1970.
const FIRST_DAY: i64 = 20_454;
/// The days from the first of December until the end of February, counted from the first of January.
const DAYS: std::ops::RangeInclusive<i64> = -31..=58;

/// The days of a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Days {
    Every,
    /// From 1 for Monday to 7 for Sunday.
    Weekday(i64),
    /// The day of the month, or its last day if the month is shorter.
    Monthly(i64),
}

/// The schedule of a push job in its zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    days: Days,
    /// Minutes between midnight in UTC and the slot of the same date.
    minute: i64,
}

/// The day of the month and the number of days of the month.
fn in_month(day: i64) -> (i64, i64) {
    match day {
        ..0 => (day + 32, 31),
        0..31 => (day + 1, 31),
        _ => (day - 30, 28),
    }
}

impl Times {
    /// Reads a schedule and a zone as they are stored.
    pub fn parse(schedule: &str, zone: &str) -> Self {
        let words: Vec<&str> = schedule.split(' ').collect();
        let number = |word: &str| word.parse::<i64>().unwrap();
        let days = match words[..] {
            ["daily", _] => Days::Every,
            ["weekly", day, _] => Days::Weekday(number(day)),
            ["monthly", "last", _] => Days::Monthly(31),
            ["monthly", day, _] => Days::Monthly(number(day)),
            _ => panic!("{schedule} is no schedule of a world"),
        };
        let (hours, minutes) = words[words.len() - 1].split_once(':').unwrap();
        let (_, offset) = ZONES.iter().find(|(name, _)| *name == zone).unwrap();
        Self { days, minute: number(hours) * 60 + number(minutes) - offset }
    }

    fn runs_on(&self, day: i64) -> bool {
        match self.days {
            Days::Every => true,
            Days::Weekday(weekday) => (day + 3).rem_euclid(7) + 1 == weekday,
            Days::Monthly(number) => {
                let (date, length) = in_month(day);
                date == number.min(length)
            }
        }
    }

    /// The first slot after `after`, ms.
    pub fn next_after(&self, after: u64) -> u64 {
        let at = |day: i64| u64::try_from(((FIRST_DAY + day) * 1_440 + self.minute) * 60_000).unwrap();
        DAYS.filter(|day| self.runs_on(*day)).map(at).find(|at| *at > after).unwrap()
    }

    /// Whether a slot is at this moment, ms.
    pub fn is_slot(&self, at: u64) -> bool {
        self.next_after(at - 1) == at
    }
}
