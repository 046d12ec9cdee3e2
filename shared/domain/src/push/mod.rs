//! Push: messages that the system sends to the agent of a user by itself, at set times or to all agents at once.

mod broadcast;
mod dispatch;
mod job;
mod schedule;
mod template;
mod zone;

pub use broadcast::{
    Broadcast, BroadcastCounts, BroadcastStatus, BroadcastTarget, conversation_without_user,
};
pub use dispatch::{Dispatch, DispatchSource, DispatchStatus, MAX_ERROR_CHARS, PushMode};
pub use job::{Due, LastRun, MAX_JOBS_OF_AGENT, MAX_SKIPPED_AT_ONCE, PushJob, PushStats, due};
pub use schedule::{
    Day, DayOfMonth, Periodicity, Schedule, ScheduleError, Slot, SlotTime, Weekday, next_slot,
};
pub use template::{MAX_SUGGESTED_TIMES, PushTemplate};
pub use zone::{UnknownZone, ZoneName};

use crate::refusal::Refusal;

/// Most characters of a title.
pub const MAX_TITLE_CHARS: usize = 200;
/// Most characters of a text. A message with this text fits into the item of the message in most languages.
pub const MAX_TEXT_CHARS: usize = 4_000;

/// Checks a title and a text. A refusal names the field.
pub fn check_words(title: &str, text: &str) -> Result<(), Refusal> {
    check_text("title", title, MAX_TITLE_CHARS)?;
    check_text("text", text, MAX_TEXT_CHARS)
}

/// Checks the text of the field `name`. A refusal names the field.
pub fn check_text(name: &str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.trim().is_empty() || text.chars().count() > max {
        let detail = format!("{name} must be 1 to {max} characters, not only spaces");
        return Err(Refusal::field(format!("/{name}"), detail));
    }
    Ok(())
}
