//! Writes of workers' rows.

use af_app::App;
use af_domain::conversation::Conversation;
use af_domain::ids::WorkerId;
use af_domain::worker::{DrainReason, Machine, Volume, Worker};

use super::{conversation, owner, policies, row};
use crate::world::World;

/// A worker with another id and the same fields.
fn twin(row: &Worker) -> Worker {
    Worker { id: WorkerId::parse("twin").unwrap(), ..row.clone() }
}

pub async fn register_if_new(world: &World, app: &App, times: usize) -> Vec<String> {
    let row = twin(&row(world, &world.worker("w", None).await).await);
    send!(times, app.store.register_if_new(&row, None, None))
}

pub async fn register_if_free(world: &World, app: &App, times: usize) -> Vec<String> {
    let owner = owner(world, 1).await;
    let row = twin(&row(world, &owner).await);
    world.drain_completely(&owner, Some(&conversation())).await;
    let before = world.stored(&conversation()).await;
    let after = before.assigned_to(&row.id, app.now(), &policies()).unwrap();
    send!(times, app.store.register_if_free(&row, &before, &after, None, None, &policies()))
}

/// The owner's row, the conversation, and the conversation without its owner.
async fn to_be_freed(world: &World, worker: &WorkerId) -> (Worker, Conversation, Conversation) {
    let before = world.stored(&conversation()).await;
    let after = before.released_by(worker, world.app.now(), &policies()).unwrap();
    (row(world, worker).await, before, after)
}

pub async fn release_if_quiet(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 0).await;
    let (row, before, after) = to_be_freed(world, &worker).await;
    send!(times, app.store.release_if_quiet(&row, &before, &after, &policies()))
}

pub async fn drain_if_active(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 0).await;
    let drained = row(world, &worker).await.drain(DrainReason::Operator, app.now(), &policies()).unwrap();
    let owned = world.stored(&conversation()).await;
    send!(times, app.store.drain_if_active(&drained, Some(&owned), &policies()))
}

pub async fn finish_drain_if_draining(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 0).await;
    let drained = row(world, &worker).await.drain(DrainReason::Operator, app.now(), &policies()).unwrap();
    let owned = world.stored(&conversation()).await;
    world.app.store.drain_if_active(&drained, Some(&owned), &policies()).await.unwrap();
    let (draining, before, after) = to_be_freed(world, &worker).await;
    let finished = draining.finish_drain(None, app.now()).unwrap();
    send!(times, app.store.finish_drain_if_draining(&finished, Some((&before, &after)), &policies()))
}

pub async fn stopped_if_stopping(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = world.worker("w", None).await;
    world.drain_completely(&worker, None).await;
    let stopped = row(world, &worker).await.gone(app.now()).unwrap();
    send!(times, app.store.stopped_if_stopping(&stopped))
}

pub async fn machine_if_registered(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = world.worker("w", None).await;
    let machine = Machine { app: "app".into(), id: "m".into(), region: "ams".into() };
    let volume = Volume { name: "data_1".into(), id: Some("vol_1".into()) };
    send!(times, app.store.machine_if_registered(&worker, &machine, Some(&volume)))
}

pub async fn seen_if_registered(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = world.worker("w", None).await;
    send!(times, app.store.seen_if_registered(&worker, app.now()))
}
