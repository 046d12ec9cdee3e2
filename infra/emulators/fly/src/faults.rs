//! Faults that a test, or a developer through the control routes, queues for the next requests.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::state::MachineState;

/// Faults that are queued for one action at most.
const MAX_FAULTS: usize = 1_000;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// It fails and is not carried out: a creation that fails, a burst of 5xx, a refused deletion.
    Refused {
        /// The status, 400 to 599.
        status: u16,
        /// The error text.
        error: String,
        /// `Retry-After`, in seconds.
        retry_after_secs: Option<u64>,
    },
    /// It is carried out, and its answer is the error of a gateway.
    AnswerLost,
    /// It succeeds, but the machine that it stops never ends; only a forced destroy ends it.
    StuckStopping,
    /// It is carried out, but the created machine ends up in this state and never starts: `failed`, or
    /// `launch_failed`, in which only a forced destroy removes it.
    NeverStarts {
        /// The state.
        state: MachineState,
    },
    /// A list is answered empty.
    EmptyList,
    /// It is carried out and answered later, by the virtual clock.
    Late {
        /// How much later, in milliseconds.
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

/// The queued faults, by action.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<Action, VecDeque<Fault>>);

impl Faults {
    pub fn queue(&mut self, action: Action, fault: &Fault, times: usize) {
        let waiting = self.0.entry(action).or_default();
        let room = MAX_FAULTS.saturating_sub(waiting.len());
        waiting.extend(std::iter::repeat_n(fault, times.min(room)).cloned());
    }

    pub fn take(&mut self, action: Action) -> Option<Fault> {
        self.0.get_mut(&action).and_then(VecDeque::pop_front)
    }
}
