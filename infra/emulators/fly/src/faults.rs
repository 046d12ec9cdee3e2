//! Failures on order: what a test, or somebody who tries things out, wants the Machines API to do next.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::state::MachineState;

/// Failures that may wait for one action.
const FAULTS_MAX: usize = 1_000;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// It is answered with a failure and not carried out: a creation that fails, a burst of 5xx, a refused deletion.
    Refused {
        /// The status, 400 to 599.
        status: u16,
        /// Fly's words.
        error: String,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_secs: Option<u64>,
    },
    /// It is carried out, and its answer is a gateway's error.
    AnswerLost,
    /// It is answered, and the machine that was told to stop never does; only force ends it.
    StuckStopping,
    /// It is carried out, and the machine that was made comes to this state in place of starting: `failed`, or
    /// `launch_failed`, in which only force removes it.
    NeverStarts {
        /// The state.
        state: MachineState,
    },
    /// A list is answered as if nothing were there.
    EmptyList,
    /// It is carried out and answered this much later, by the virtual clock.
    Late {
        /// How much later.
        ms: u64,
    },
}

impl Fault {
    /// A failure with this status, as a host that is in trouble answers.
    pub fn status(status: u16) -> Self {
        let error =
            format!("{}: ordered by a test", if status >= 500 { "internal" } else { "failed_precondition" });
        Self::Refused { status, error, retry_after_secs: None }
    }
}

/// The failures that wait, by action.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<Action, VecDeque<Fault>>);

impl Faults {
    pub fn queue(&mut self, action: Action, fault: &Fault, times: usize) {
        let waiting = self.0.entry(action).or_default();
        let room = FAULTS_MAX.saturating_sub(waiting.len());
        waiting.extend(std::iter::repeat_n(fault, times.min(room)).cloned());
    }

    pub fn take(&mut self, action: Action) -> Option<Fault> {
        self.0.get_mut(&action).and_then(VecDeque::pop_front)
    }
}
