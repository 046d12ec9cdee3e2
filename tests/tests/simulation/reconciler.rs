//! Reconcile: on its schedule and whenever the stream would call it, sometimes two at once, sometimes cut off.

use std::sync::Arc;
use std::time::Duration;

use af_app::reconcile::reconcile;
use rand::Rng;

use crate::world::World;

/// Longest pause between two triggers, ms: the schedule's minute, often less.
const PAUSE_MS_MAX: u64 = 60_000;
/// A run that dies is cut off within this time, ms.
const CUT_OFF_MS_MAX: u64 = 500;

pub async fn reconciler(world: Arc<World>, actor: u64) {
    let mut rng = world.rng(actor);
    loop {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..PAUSE_MS_MAX))).await;
        let app = world.app(actor * 10 + rng.random_range(0..2));
        if !world.calm() && rng.random_bool(0.15) {
            // The function dies between two steps; what it has done stands.
            let cut_off = Duration::from_millis(rng.random_range(0..CUT_OFF_MS_MAX));
            let died = tokio::time::timeout(cut_off, reconcile(&app)).await.is_err();
            world.note(|| format!("reconcile {actor} cut off: {died}"));
        } else if let Err(error) = reconcile(&app).await {
            world.note(|| format!("reconcile {actor} failed: {error}"));
        }
    }
}
