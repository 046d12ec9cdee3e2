//! Reconcile runs at random times, as its schedule and the stream trigger it, sometimes two at once. Each run may die.

use std::sync::Arc;
use std::time::Duration;

use af_app::pool::reconcile::reconcile;
use rand::Rng;

use crate::costs::Operation;
use crate::instance::Instance;
use crate::tally::Event;
use crate::world::World;

/// Longest pause between two triggers, ms: the interval of the schedule.
const MAX_PAUSE_MS: u64 = 60_000;

pub async fn reconciler(world: Arc<World>, actor: u64) {
    let mut rng = world.rng(actor);
    let mut functions = [0, 1].map(|n| Instance::new(&world, actor * 10 + n, Event::ReconcileDied));
    loop {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..MAX_PAUSE_MS))).await;
        let function = &mut functions[rng.random_range(0..2)];
        let app = function.app();
        if let Some(Err(error)) = function.call(Operation::Reconcile, reconcile(&app)).await {
            world.note(|| format!("reconcile {actor} failed: {error}"));
        }
    }
}
