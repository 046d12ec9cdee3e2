//! The steps of one function: its requests to the table and to its provider. It may die at one of them, before or
//! after it took effect, or freeze right before it and go on much later.

use std::future::Future;
use std::sync::Mutex;

use af_emulator_aws::{Fault, Faults, Gate, Service, WireRequest};
use tokio::sync::Notify;

/// How a function ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Before the step is taken.
    DiesBefore,
    /// After the step took effect, and before it is answered.
    DiesAfter,
    /// Right before the step, which is taken when the function is thawed.
    Freezes,
    /// While the provider's answer, that it has failed, is on its way.
    FreezesAfter,
}

/// What becomes of a step.
pub enum Turn {
    /// It is taken.
    Taken,
    /// It is not taken, and nobody hears of it.
    Lost,
    /// It is taken, and nobody hears of it.
    Unanswered,
    /// It is taken when the gate is opened.
    HeldUp(Gate),
    /// It is taken, and answered with a failure when the gate is opened.
    FailsLate(Gate),
}

/// The steps of a function. A function that has died takes none any more.
#[derive(Default)]
pub struct Steps {
    /// Which step is the last, and how.
    end: Option<(usize, End)>,
    taken: Mutex<Vec<bool>>,
    ended: Notify,
    gate: Gate,
}

impl Steps {
    /// Those of a function that ends at step `n`, counted from 0.
    pub fn ending(n: usize, end: End) -> Self {
        Self { end: Some((n, end)), ..Self::default() }
    }

    /// The steps so far: for each, whether it changes anything.
    pub fn taken(&self) -> Vec<bool> {
        self.taken.lock().unwrap().clone()
    }

    /// The next step.
    pub fn next(&self, changes: bool) -> Turn {
        let mut taken = self.taken.lock().unwrap();
        let n = taken.len();
        let Some((last, end)) = self.end.filter(|(last, _)| *last <= n) else {
            taken.push(changes);
            return Turn::Taken;
        };
        if n > last {
            let is_frozen = matches!(end, End::Freezes | End::FreezesAfter);
            return if is_frozen { Turn::Taken } else { Turn::Lost };
        }
        taken.push(changes);
        match end {
            End::DiesAfter => return Turn::Unanswered,
            End::FreezesAfter => return Turn::FailsLate(self.gate.clone()),
            End::DiesBefore | End::Freezes => self.ends(),
        }
        if end == End::DiesBefore { Turn::Lost } else { Turn::HeldUp(self.gate.clone()) }
    }

    /// The function ends now: the last step, after which it was to end, took effect.
    pub fn ends(&self) {
        self.ended.notify_one();
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|(last, _)| self.taken.lock().unwrap().len() > last)
    }

    /// Lets `call` run until it ends; `None` when the function has died or is frozen before that.
    pub async fn run<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.ended.notified() => None,
            answer = call => (!self.is_over()).then_some(answer),
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
            Turn::Taken => Fault::None,
            Turn::Lost => Fault::LoseRequest,
            Turn::Unanswered => {
                self.ends();
                Fault::LoseResponse
            }
            Turn::HeldUp(gate) => Fault::HeldUp(gate),
            Turn::FailsLate(_) => panic!("only the provider's answers come late"),
        }
    }
}
