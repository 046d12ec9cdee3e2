//! One running instance of a function: its caches, its clock, its network. It may die between any two requests; the
//! next call finds a new one.

use std::future::Future;
use std::sync::Arc;

use af_app::App;

use crate::costs::Operation;
use crate::faults::Troubles;
use crate::tally::Event;
use crate::world::World;

/// Lives of one function: more than any world has deaths.
const LIVES_MAX: u64 = 10_000;

pub struct Instance {
    world: Arc<World>,
    /// Which function; the base of everything random here.
    function: u64,
    life: u64,
    app: Arc<App>,
    troubles: Arc<Troubles>,
    /// What its deaths are counted as.
    death: Event,
}

impl Instance {
    pub fn new(world: &Arc<World>, function: u64, death: Event) -> Self {
        let (app, troubles) = world.app(function * LIVES_MAX);
        Self { world: world.clone(), function, life: 0, app: Arc::new(app), troubles, death }
    }

    pub fn app(&self) -> Arc<App> {
        self.app.clone()
    }

    /// Runs `call` here. `None` when the function died meanwhile: the caller knows nothing, and what was written
    /// stands.
    pub async fn call<T>(&mut self, operation: Operation, call: impl Future<Output = T>) -> Option<T> {
        let (before, quiet) = (self.troubles.requests(), self.world.calm());
        self.troubles.begin(operation);
        let mut call = Box::pin(call);
        let answer = tokio::select! {
            biased;
            () = self.troubles.death() => None,
            answer = &mut call => Some(answer),
        };
        drop(call);
        if self.troubles.is_dead() {
            self.troubles.count(self.death);
            self.world.note(|| format!("{:?} in {operation:?}", self.death));
            self.life += 1;
            let (app, troubles) = self.world.app(self.function * LIVES_MAX + self.life);
            (self.app, self.troubles) = (Arc::new(app), troubles);
            return None;
        }
        if quiet {
            self.world.shared.costs.spent(operation, self.troubles.requests() - before);
        }
        answer
    }
}
