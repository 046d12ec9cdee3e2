//! Faults that a test, or a developer through the control routes, queues for the next calls.

use std::collections::{HashMap, VecDeque};

use super::answer::ApiError;

/// Faults that are queued for one method at most.
const MAX_FAULTS: usize = 1_000;

/// A failure as the answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) error: ApiError,
    /// Whether the call still takes effect, as when only its response is lost.
    pub(super) applied: bool,
}

impl Fault {
    /// A failure with this code and description.
    pub fn new(code: u16, description: impl Into<String>) -> Self {
        Self { error: ApiError::new(code, description), applied: false }
    }

    /// 429: retry after this many seconds.
    pub fn rate_limited(seconds: u64) -> Self {
        let error = ApiError::new(429, format!("Too Many Requests: retry after {seconds}"));
        Self { error: ApiError { retry_after: Some(seconds), ..error }, applied: false }
    }

    /// The group has become the supergroup `to`.
    pub fn migrated(to: i64) -> Self {
        let error = ApiError::bad_request("group chat was upgraded to a supergroup chat");
        Self { error: ApiError { migrate_to_chat_id: Some(to), ..error }, applied: false }
    }

    /// The call takes effect, but the answer is the error of a gateway.
    pub fn answer_lost() -> Self {
        Self { applied: true, ..Self::new(502, "Bad Gateway") }
    }
}

/// The queued faults, by method in lower case.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<String, VecDeque<Option<Fault>>>);

impl Faults {
    /// Makes the next `times` calls of `method` fail, or succeed without a fault.
    pub fn queue(&mut self, method: &str, fault: Option<&Fault>, times: usize) {
        let waiting = self.0.entry(method.to_ascii_lowercase()).or_default();
        let room = MAX_FAULTS.saturating_sub(waiting.len());
        waiting.extend(std::iter::repeat_n(fault.cloned(), times.min(room)));
    }

    /// Takes the failure for this call of `method` (in lower case), if there is one.
    pub fn take(&mut self, method: &str) -> Option<Fault> {
        self.0.get_mut(method).and_then(VecDeque::pop_front).flatten()
    }
}
