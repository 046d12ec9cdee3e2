//! Schedules on the command line.

use af_api::schedule::ScheduleBody;
use af_domain::push::Schedule;

/// Reads a schedule of the command line.
pub fn schedule(text: &str) -> Result<Schedule, String> {
    Schedule::parse(text).ok_or_else(|| {
        "must be \"manual\", \"daily HH:mm\", \"weekly <1-7> HH:mm\" or \"monthly <1-31|last> HH:mm\"; a job cannot \
         repeat by the minute"
            .to_owned()
    })
}

/// The schedule as the command line takes it.
pub fn schedule_of(body: &ScheduleBody) -> String {
    body.schedule("").map_or_else(|refusal| refusal.detail, |schedule| schedule.to_string())
}

#[cfg(test)]
mod tests {
    use af_api::schedule::ScheduleBody;

    use super::{schedule, schedule_of};

    #[test]
    fn a_schedule_is_shown_as_the_command_line_takes_it() {
        for text in ["manual", "daily 09:30", "weekly 1 09:30", "monthly 31 09:30", "monthly last 09:30"] {
            assert_eq!(schedule_of(&ScheduleBody::from(schedule(text).unwrap())), text);
        }
        let refused = schedule("*/5 * * * *").unwrap_err();
        assert!(refused.contains("cannot repeat by the minute"), "{refused}");
    }
}
