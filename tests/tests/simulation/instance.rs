//! One running instance of a function: its caches, its clock, its network. It may die between any two requests. After
//! its death the next call gets a new instance.

use std::future::Future;
use std::sync::Arc;

use af_app::App;

use crate::costs::Operation;
use crate::faults::InstanceFaults;
use crate::tally::Event;
use crate::world::World;

/// Limit of the instances of one function: more than the deaths in any world.
const MAX_INSTANCES: u64 = 10_000;

pub struct Instance {
    world: Arc<World>,
    /// The number of the function, which seeds its randomness.
    function: u64,
    instance: u64,
    app: Arc<App>,
    faults: Arc<InstanceFaults>,
    /// The event that counts its deaths.
    death: Event,
}

impl Instance {
    pub fn new(world: &Arc<World>, function: u64, death: Event) -> Self {
        let (app, faults) = world.app(function * MAX_INSTANCES);
        Self { world: world.clone(), function, instance: 0, app: Arc::new(app), faults, death }
    }

    pub fn app(&self) -> Arc<App> {
        self.app.clone()
    }

    /// Runs `call` in this instance. `None` means that the instance died during the call: the caller gets no answer,
    /// and completed writes remain.
    pub async fn call<T>(&mut self, operation: Operation, call: impl Future<Output = T>) -> Option<T> {
        let (before, without_faults) = (self.faults.requests(), self.world.faults_are_off());
        self.faults.begin(operation);
        let mut call = Box::pin(call);
        let answer = tokio::select! {
            biased;
            () = self.faults.death() => None,
            answer = &mut call => Some(answer),
        };
        drop(call);
        if self.faults.is_dead() {
            self.faults.count(self.death);
            self.world.note(|| format!("{:?} in {operation:?}", self.death));
            self.instance += 1;
            let (app, faults) = self.world.app(self.function * MAX_INSTANCES + self.instance);
            (self.app, self.faults) = (Arc::new(app), faults);
            return None;
        }
        if without_faults {
            self.world.shared.costs.record(operation, self.faults.requests() - before);
        }
        answer
    }
}
