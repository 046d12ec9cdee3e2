//! The steps of one function: its requests to the table and to its provider. The function may die at one of them,
//! before or after the step takes effect. It may also freeze right before a step and continue much later.

#![allow(clippy::unwrap_used, reason = "a poisoned lock fails the test")]

use std::future::Future;
use std::sync::Mutex;

use af_emulator_aws::{Fault, Faults, Gate, Service, WireRequest};
use tokio::sync::Notify;

/// How a function ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The function dies before the step takes effect.
    DiesBefore,
    /// The function dies after the step took effect, and before it gets the response.
    DiesAfter,
    /// The function freezes right before the step, which takes effect when the function is thawed.
    Freezes,
    /// The function freezes before it gets the provider's error response.
    FreezesAfter,
}

/// The outcome of a step.
pub enum StepOutcome {
    /// The step takes effect.
    Taken,
    /// The step does not take effect and gets no response.
    Lost,
    /// The step takes effect and gets no response.
    Unanswered,
    /// The step takes effect when the gate is opened.
    HeldUp(Gate),
    /// The step takes effect, and gets an error response when the gate is opened.
    FailsLate(Gate),
}

/// The steps of a function. A function that has died takes no more steps.
#[derive(Default)]
pub struct Steps {
    /// The last step, and how the function ends there.
    end: Option<(usize, End)>,
    taken: Mutex<Vec<bool>>,
    ended: Notify,
    gate: Gate,
}

impl Steps {
    /// The steps of a function that ends at step `n`, counted from 0.
    pub fn ending(n: usize, end: End) -> Self {
        Self { end: Some((n, end)), ..Self::default() }
    }

    /// The steps so far: for each, whether it is a write.
    pub fn taken(&self) -> Vec<bool> {
        self.taken.lock().unwrap().clone()
    }

    /// The next step.
    pub fn next(&self, changes: bool) -> StepOutcome {
        let mut taken = self.taken.lock().unwrap();
        let n = taken.len();
        let Some((last, end)) = self.end.filter(|(last, _)| *last <= n) else {
            taken.push(changes);
            return StepOutcome::Taken;
        };
        if n > last {
            let is_frozen = matches!(end, End::Freezes | End::FreezesAfter);
            return if is_frozen { StepOutcome::Taken } else { StepOutcome::Lost };
        }
        taken.push(changes);
        match end {
            End::DiesAfter => return StepOutcome::Unanswered,
            End::FreezesAfter => return StepOutcome::FailsLate(self.gate.clone()),
            End::DiesBefore | End::Freezes => self.mark_ended(),
        }
        if end == End::DiesBefore { StepOutcome::Lost } else { StepOutcome::HeldUp(self.gate.clone()) }
    }

    /// The function ends now, because its last step took effect.
    pub fn mark_ended(&self) {
        self.ended.notify_one();
    }

    fn has_ended(&self) -> bool {
        self.end.is_some_and(|(last, _)| self.taken.lock().unwrap().len() > last)
    }

    /// Lets `call` run until it ends; `None` when the function has died or is frozen before that.
    pub async fn run<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.ended.notified() => None,
            answer = call => (!self.has_ended()).then_some(answer),
        }
    }

    /// Lets a frozen function go on.
    pub fn thaw(&self) {
        self.gate.open();
    }
}

impl Faults for Steps {
    fn before(&self, request: &WireRequest) -> Fault {
        if request.service != Service::DynamoDb {
            return Fault::None;
        }
        let reads = ["GetItem", "Query", "BatchGetItem"].contains(&request.operation.as_str());
        match self.next(!reads) {
            StepOutcome::Taken => Fault::None,
            StepOutcome::Lost => Fault::LoseRequest,
            StepOutcome::Unanswered => {
                self.mark_ended();
                Fault::LoseResponse
            }
            StepOutcome::HeldUp(gate) => Fault::HeldUp(gate),
            StepOutcome::FailsLate(_) => panic!("only responses of the provider are late"),
        }
    }
}
