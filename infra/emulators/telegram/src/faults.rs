//! Faults that a test, or a developer through the control routes, queues for the next calls.

use std::collections::{HashMap, VecDeque};

use super::answer::ApiError;

/// Faults that are queued for one method at most.
const MAX_FAULTS: usize = 1_000;

/// A failure as the answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status and `error_code`.
    pub code: u16,
    /// The description.
    pub description: String,
    /// `parameters.retry_after`, in seconds.
    pub retry_after: Option<u64>,
    /// `parameters.migrate_to_chat_id`
    pub migrate_to_chat_id: Option<i64>,
    /// Whether the call still takes effect, as when only its response is lost.
    pub applied: bool,
}

impl Fault {
    /// A failure with this code and description.
    pub fn new(code: u16, description: impl Into<String>) -> Self {
        Self {
            code,
            description: description.into(),
            retry_after: None,
            migrate_to_chat_id: None,
            applied: false,
        }
    }

    /// 429: retry after this many seconds.
    pub fn rate_limited(seconds: u64) -> Self {
        let description = format!("Too Many Requests: retry after {seconds}");
        Self { retry_after: Some(seconds), ..Self::new(429, description) }
    }

    /// The group has become the supergroup `to`.
    pub fn migrated(to: i64) -> Self {
        let description = "Bad Request: group chat was upgraded to a supergroup chat";
        Self { migrate_to_chat_id: Some(to), ..Self::new(400, description) }
    }

    /// The call takes effect, but the answer is the error of a gateway.
    pub fn answer_lost() -> Self {
        Self { applied: true, ..Self::new(502, "Bad Gateway") }
    }

    pub(super) fn into_error(self) -> ApiError {
        ApiError {
            code: self.code,
            description: self.description,
            retry_after: self.retry_after,
            migrate_to_chat_id: self.migrate_to_chat_id,
        }
    }
}

/// The queued faults, by method in lower case.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<String, VecDeque<Fault>>);

impl Faults {
    /// Makes the next `times` calls of `method` fail.
    pub fn queue(&mut self, method: &str, fault: &Fault, times: usize) {
        let waiting = self.0.entry(method.to_ascii_lowercase()).or_default();
        let room = MAX_FAULTS.saturating_sub(waiting.len());
        waiting.extend(std::iter::repeat_n(fault, times.min(room)).cloned());
    }

    /// Takes the failure for this call of `method` (in lower case), if there is one.
    pub fn take(&mut self, method: &str) -> Option<Fault> {
        self.0.get_mut(method).and_then(VecDeque::pop_front)
    }
}
