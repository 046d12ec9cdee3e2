//! When a push job runs: at most once a day, at a time of day in a time zone.
//!
//! A schedule names days. The *slot* of a day is the moment at which the job runs for that day. When the clocks skip the
//! time of day, the slot is the first moment after the gap. When they show it twice, it is the first of the two moments.

use std::fmt;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::zone::{UnknownZone, ZoneName};
use crate::named_enum;
use crate::time::Timestamp;

/// Days that are tried to find the next slot. The search begins on the day before, and a zone that skips a whole day puts
/// the slots of two days on one moment, so four days are enough.
const MAX_DAYS_TRIED: usize = 8;

named_enum! {
    /// How often a job runs.
    pub enum Periodicity {
        /// Only when a caller triggers it.
        Manual = "manual",
        /// Every day.
        Daily = "daily",
        /// On one day of each week.
        Weekly = "weekly",
        /// On one day of each month.
        Monthly = "monthly",
    }
}

/// A time of day, in hours and minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotTime {
    hour: i8,
    minute: i8,
}

impl SlotTime {
    /// Reads `HH:mm`, from 00:00 to 23:59.
    pub fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let number = |text: &str, max: i8| {
            let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten().filter(|n| *n <= max)
        };
        Some(Self { hour: number(hour, 23)?, minute: number(minute, 59)? })
    }
}

impl fmt::Display for SlotTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

/// A day of the week, from 1 for Monday to 7 for Sunday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekday(i8);

impl Weekday {
    /// Returns the day with this number, if there is one.
    pub fn new(number: u64) -> Option<Self> {
        i8::try_from(number).ok().filter(|n| (1..=7).contains(n)).map(Self)
    }

    /// The number of the day.
    pub fn number(self) -> u64 {
        u64::from(self.0.unsigned_abs())
    }
}

/// A day of the month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayOfMonth {
    /// The day with this number, from 1 to 31. In a shorter month it is the last day.
    Number(u8),
    /// The last day.
    Last,
}

impl DayOfMonth {
    /// Returns the day with this number, if a month has one.
    pub fn new(number: u64) -> Option<Self> {
        u8::try_from(number).ok().filter(|n| (1..=31).contains(n)).map(Self::Number)
    }

    fn within(self, month: Date) -> i8 {
        match self {
            DayOfMonth::Number(number) => i8::try_from(number).unwrap_or(i8::MAX).min(month.days_in_month()),
            DayOfMonth::Last => month.days_in_month(),
        }
    }
}

/// When a job runs. The times are those of the zone of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Only when a caller triggers it.
    Manual,
    /// Every day at `time`.
    Daily {
        /// The time of day.
        time: SlotTime,
    },
    /// Every week on `weekday` at `time`.
    Weekly {
        /// The day.
        weekday: Weekday,
        /// The time of day.
        time: SlotTime,
    },
    /// Every month on `day` at `time`.
    Monthly {
        /// The day.
        day: DayOfMonth,
        /// The time of day.
        time: SlotTime,
    },
}

impl Schedule {
    /// How often the job runs.
    pub const fn periodicity(&self) -> Periodicity {
        match self {
            Schedule::Manual => Periodicity::Manual,
            Schedule::Daily { .. } => Periodicity::Daily,
            Schedule::Weekly { .. } => Periodicity::Weekly,
            Schedule::Monthly { .. } => Periodicity::Monthly,
        }
    }

    /// The time of day; `None` for a job that only callers trigger.
    pub const fn time(&self) -> Option<SlotTime> {
        match self {
            Schedule::Manual => None,
            Schedule::Daily { time } | Schedule::Weekly { time, .. } | Schedule::Monthly { time, .. } => {
                Some(*time)
            }
        }
    }

    /// Reads the form that `Display` writes: `daily 09:30`, `weekly 1 09:30`, `monthly last 09:30` or `manual`.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["manual"] => Some(Schedule::Manual),
            ["daily", time] => Some(Schedule::Daily { time: SlotTime::parse(time)? }),
            ["weekly", day, time] => Some(Schedule::Weekly {
                weekday: Weekday::new(day.parse().ok()?)?,
                time: SlotTime::parse(time)?,
            }),
            ["monthly", day, time] => {
                let day = if day == "last" { DayOfMonth::Last } else { DayOfMonth::new(day.parse().ok()?)? };
                Some(Schedule::Monthly { day, time: SlotTime::parse(time)? })
            }
            _ => None,
        }
    }

    /// Returns the first day of the schedule that is not before `from`.
    fn day_from(&self, from: Date) -> Option<Date> {
        match self {
            Schedule::Manual => None,
            Schedule::Daily { .. } => Some(from),
            Schedule::Weekly { weekday, .. } => {
                let ahead = (weekday.0 - from.weekday().to_monday_one_offset()).rem_euclid(7);
                from.checked_add(i64::from(ahead).days()).ok()
            }
            Schedule::Monthly { day, .. } => {
                let this = from.with().day(day.within(from)).build().ok()?;
                if this >= from {
                    return Some(this);
                }
                let next = from.first_of_month().checked_add(1.month()).ok()?;
                next.with().day(day.within(next)).build().ok()
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Manual => f.write_str("manual"),
            Schedule::Daily { time } => write!(f, "daily {time}"),
            Schedule::Weekly { weekday, time } => write!(f, "weekly {} {time}", weekday.number()),
            Schedule::Monthly { day: DayOfMonth::Number(day), time } => write!(f, "monthly {day} {time}"),
            Schedule::Monthly { day: DayOfMonth::Last, time } => write!(f, "monthly last {time}"),
        }
    }
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

impl Day {
    /// Reads `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// The day in UTC at this time. After the end of the calendar, in the year 9999, it is the last day.
    pub fn of_utc(time: Timestamp) -> Self {
        Self(moment(time).map_or(Date::MAX, |moment| moment.to_zoned(TimeZone::UTC).date()))
    }

    /// The day this many days before, or the first day of the calendar.
    #[must_use]
    pub fn days_before(self, days: u32) -> Self {
        Self(self.0.saturating_sub(i64::from(days).days()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A moment at which a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The moment.
    pub at: Timestamp,
    /// The day for which the job runs. The next slot has a later day. So no day runs twice when a new version of the
    /// time zone database moves the moment.
    pub day: Day,
}

/// The reason why a slot cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The database does not have the zone.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
    /// The moment is beyond the years that the calendar library covers.
    #[error("the next run is out of the range of the calendar")]
    OutOfRange,
}

/// Returns the first slot that is after `after` and, if `last` is given, of a later day than `last`. Returns `None` for a
/// manual schedule.
pub fn next_slot(
    schedule: &Schedule,
    zone: &ZoneName,
    after: Timestamp,
    last: Option<Day>,
) -> Result<Option<Slot>, ScheduleError> {
    let Some(time) = schedule.time() else { return Ok(None) };
    let zone = zone.zone()?;
    // The slot of the day before may be today, when that day ended in a gap.
    let mut from = zone.to_datetime(moment(after)?).date().yesterday().map_err(out_of_range)?;
    if let Some(last) = last {
        from = from.max(last.0.tomorrow().map_err(out_of_range)?);
    }
    for _ in 0..MAX_DAYS_TRIED {
        let day = schedule.day_from(from).ok_or(ScheduleError::OutOfRange)?;
        let at = slot_of(&zone, day, time)?;
        if at > after {
            return Ok(Some(Slot { at, day: Day(day) }));
        }
        from = day.tomorrow().map_err(out_of_range)?;
    }
    Err(ScheduleError::OutOfRange)
}

/// Returns the moment at which a job runs for `day`.
fn slot_of(zone: &TimeZone, day: Date, time: SlotTime) -> Result<Timestamp, ScheduleError> {
    let wall = day.at(time.hour, time.minute, 0, 0);
    let slot = match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(wall).map_err(out_of_range)?
        }
        AmbiguousOffset::Gap { before, .. } => {
            // With the offset from before the gap, the time is a moment after the gap, or its end itself.
            let beyond = before.to_timestamp(wall).map_err(out_of_range)?;
            let until = beyond.checked_add(1.millisecond()).map_err(out_of_range)?;
            zone.preceding(until).next().map_or(beyond, |end| end.timestamp())
        }
    };
    u64::try_from(slot.as_millisecond()).map(Timestamp::from_millis).map_err(|_| ScheduleError::OutOfRange)
}

fn moment(time: Timestamp) -> Result<jiff::Timestamp, ScheduleError> {
    let ms = i64::try_from(time.as_millis()).map_err(|_| ScheduleError::OutOfRange)?;
    jiff::Timestamp::from_millisecond(ms).map_err(out_of_range)
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function of the error")]
fn out_of_range(_: jiff::Error) -> ScheduleError {
    ScheduleError::OutOfRange
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_is_written() {
        for text in ["manual", "daily 09:30", "weekly 7 00:00", "monthly 31 23:59", "monthly last 06:05"] {
            assert_eq!(Schedule::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "daily", "daily 24:00", "weekly 8 09:30", "monthly 0 09:30", "hourly", "weekly 09:30"]
        {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
        assert_eq!(Day::parse("2028-02-29").unwrap().to_string(), "2028-02-29");
        assert_eq!(Day::parse("2027-02-29"), None);
        let day = Day::of_utc(Timestamp::from_millis(1_709_251_199_999));
        assert_eq!(day.to_string(), "2024-02-29", "a millisecond before March");
        assert_eq!(day.days_before(29).to_string(), "2024-01-31");
        assert_eq!(Day::of_utc(Timestamp::from_millis(u64::MAX)).to_string(), "9999-12-31");
    }
}
