//! Schedules of push jobs.

use std::fmt;

use af_domain::push::{DayOfMonth, Periodicity, Schedule, SlotTime, Weekday};
use af_domain::refusal::Refusal;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// How often a push job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeriodicityName {
    /// Every day.
    Daily,
    /// On one day of each week.
    Weekly,
    /// On one day of each month.
    Monthly,
    /// Only when a caller triggers it.
    Manual,
}

impl From<Periodicity> for PeriodicityName {
    fn from(periodicity: Periodicity) -> Self {
        match periodicity {
            Periodicity::Manual => Self::Manual,
            Periodicity::Daily => Self::Daily,
            Periodicity::Weekly => Self::Weekly,
            Periodicity::Monthly => Self::Monthly,
        }
    }
}

impl From<PeriodicityName> for Periodicity {
    fn from(name: PeriodicityName) -> Self {
        match name {
            PeriodicityName::Manual => Self::Manual,
            PeriodicityName::Daily => Self::Daily,
            PeriodicityName::Weekly => Self::Weekly,
            PeriodicityName::Monthly => Self::Monthly,
        }
    }
}

impl<'de> Deserialize<'de> for PeriodicityName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Periodicity::parse(&name).map(Self::from).ok_or_else(|| {
            D::Error::custom(
                "must be manual, daily, weekly or monthly. A job that repeats by the minute or by the hour is refused by \
                 design, because each run is a message to an agent; create one daily job for each time of day",
            )
        })
    }
}

/// A time of day: `HH:mm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay(pub SlotTime);

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        SlotTime::parse(&text).map(Self).ok_or_else(|| {
            D::Error::custom(
                "must be one time of day, HH:mm from 00:00 to 23:59, such as 09:30. A job cannot repeat by the minute",
            )
        })
    }
}

/// The word for the last day of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum LastDay {
    /// The last day.
    #[serde(rename = "last")]
    Last,
}

/// A day of the month: 1 to 31, or `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum DayOfMonthBody {
    /// The day with this number. In a shorter month it is the last day.
    Number(u8),
    /// The last day.
    Word(LastDay),
}

impl<'de> Deserialize<'de> for DayOfMonthBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DayVisitor)
    }
}

struct DayVisitor;

impl Visitor<'_> for DayVisitor {
    type Value = DayOfMonthBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a day from 1 to 31, or last")
    }

    fn visit_u64<E: Error>(self, day: u64) -> Result<DayOfMonthBody, E> {
        match DayOfMonth::new(day) {
            Some(DayOfMonth::Number(day)) => Ok(DayOfMonthBody::Number(day)),
            _ => Err(E::custom("must be a day from 1 to 31, or last")),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<DayOfMonthBody, E> {
        match text {
            "last" => Ok(DayOfMonthBody::Word(LastDay::Last)),
            _ => Err(E::custom("must be a day from 1 to 31, or last")),
        }
    }
}

/// When a push job runs, in its time zone.
#[serde_with::skip_serializing_none]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"kind": "daily", "time": "09:30"}))]
pub struct ScheduleBody {
    /// `manual`, `daily`, `weekly` or `monthly`. It is the periodicity of the job.
    #[schema(example = "daily")]
    pub kind: PeriodicityName,
    /// The time of day, `HH:mm`; not for `manual`. When the clocks skip it, the job runs at the end of the gap. When they show
    /// it twice, the job runs once, at the first.
    #[schema(value_type = Option<String>, example = "09:30", pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub time: Option<TimeOfDay>,
    /// The day of the week for `weekly`: 1 for Monday to 7 for Sunday.
    #[schema(minimum = 1, maximum = 7)]
    pub weekday: Option<u8>,
    /// The day of the month for `monthly`: 1 to 31, or `last`. In a shorter month it is the last day.
    pub day_of_month: Option<DayOfMonthBody>,
}

impl ScheduleBody {
    /// Returns the schedule. A refusal names the field below `pointer`.
    pub fn schedule(&self, pointer: &str) -> Result<Schedule, Refusal> {
        let kind = Periodicity::from(self.kind);
        let refuse = |field: &str, detail: String| Err(Refusal::field(format!("{pointer}/{field}"), detail));
        let foreign = [
            ("time", self.time.is_some() && kind == Periodicity::Manual),
            ("weekday", self.weekday.is_some() && kind != Periodicity::Weekly),
            ("dayOfMonth", self.day_of_month.is_some() && kind != Periodicity::Monthly),
        ];
        if let Some((field, _)) = foreign.into_iter().find(|(_, is_foreign)| *is_foreign) {
            let kind = kind.as_str();
            return refuse(field, format!("a {kind} schedule has no {field}; remove it or change kind"));
        }
        if kind == Periodicity::Manual {
            return Ok(Schedule::Manual);
        }
        let Some(TimeOfDay(time)) = self.time else {
            return refuse("time", format!("a {} schedule needs a time such as 09:30", kind.as_str()));
        };
        match kind {
            Periodicity::Weekly => match self.weekday.and_then(|day| Weekday::new(u64::from(day))) {
                Some(weekday) => Ok(Schedule::Weekly { weekday, time }),
                None => refuse("weekday", "weekday must be 1 for Monday to 7 for Sunday".to_owned()),
            },
            Periodicity::Monthly => match self.day_of_month {
                Some(DayOfMonthBody::Number(day)) => match DayOfMonth::new(u64::from(day)) {
                    Some(day) => Ok(Schedule::Monthly { day, time }),
                    None => refuse("dayOfMonth", "dayOfMonth must be from 1 to 31, or last".to_owned()),
                },
                Some(DayOfMonthBody::Word(LastDay::Last)) => {
                    Ok(Schedule::Monthly { day: DayOfMonth::Last, time })
                }
                None => {
                    refuse("dayOfMonth", "a monthly schedule needs a dayOfMonth: 1 to 31, or last".to_owned())
                }
            },
            Periodicity::Daily | Periodicity::Manual => Ok(Schedule::Daily { time }),
        }
    }
}

impl From<Schedule> for ScheduleBody {
    fn from(schedule: Schedule) -> Self {
        let mut body = Self {
            kind: schedule.periodicity().into(),
            time: schedule.time().map(TimeOfDay),
            weekday: None,
            day_of_month: None,
        };
        match schedule {
            Schedule::Weekly { weekday, .. } => body.weekday = u8::try_from(weekday.number()).ok(),
            Schedule::Monthly { day: DayOfMonth::Number(day), .. } => {
                body.day_of_month = Some(DayOfMonthBody::Number(day));
            }
            Schedule::Monthly { day: DayOfMonth::Last, .. } => {
                body.day_of_month = Some(DayOfMonthBody::Word(LastDay::Last));
            }
            Schedule::Manual | Schedule::Daily { .. } => {}
        }
        body
    }
}
