//! Suggested times of a template, from their wire form.

use af_api::schedule::ScheduleBody;
use af_domain::push::Schedule;
use af_domain::refusal::Refusal;

/// Returns the schedules. A refusal names the entry and its field.
pub fn suggested(bodies: &[ScheduleBody]) -> Result<Vec<Schedule>, Refusal> {
    let read = |(place, body): (usize, &ScheduleBody)| body.schedule(&format!("/suggestedTimes/{place}"));
    bodies.iter().enumerate().map(read).collect()
}
