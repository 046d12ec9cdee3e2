//! The costs of reconcile ticks, and the additional cost of a tick that recovers a lease.

use af_api::reconcile::Report;
use af_app::pool::reconcile::{Reconciled, reconcile};
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::time::Millis;

use crate::bulk;
use crate::figures::{Ceiling, Figures, Row, at_most};
use crate::world::{SHARDS, World};

/// Conversations in one batch read.
const BATCH: u32 = 100;
/// Pages of 1 MB for the rows of these pools.
const PAGES: u32 = 1;
/// A time after the end of a lease and before its worker is stale.
const PAST_THE_LEASE: Millis = Millis::from_secs(91);

pub async fn rows(world: &World) -> Vec<Row> {
    let empty = tick(world).await;
    let (worker, conversation) = world.idle_owner().await;
    let one = tick(world).await;
    let recovered = recover(world, &worker, &conversation).await;
    vec![
        Row::new("recover an expired lease, beside the tick", recovered, at_most(2, 2).writes(6).reads(1.0)),
        Row::new("reconcile tick, nothing to do, no worker ³", empty, idle(0)),
        Row::new("… 1 assigned worker ³", one, idle(1)),
    ]
}

/// A tick in a pool that has grown to this many workers, all of them assigned.
pub async fn grown_to(world: &World, workers: u32) -> Row {
    let (before, wanted) =
        (world.app.store.workers().await.unwrap().len(), usize::try_from(workers).unwrap());
    bulk::add_owners(world, wanted - before).await;
    // The second tick replaces the report of an equal tick.
    tick(world).await;
    let many = tick(world).await;
    assert_eq!(world.app.store.workers().await.unwrap().len(), wanted);
    Row::new(format!("… {workers} assigned workers ³"), many, idle(workers))
}

/// The additional cost of a tick that recovers a lease, compared with a tick that finds the lease in force.
async fn recover(world: &World, worker: &WorkerId, conversation: &ConversationId) -> Figures {
    world.enqueue(world.message(conversation)).await;
    world.claim(worker, conversation).await;
    let in_force = tick(world).await;
    world.bundle.clock.advance(PAST_THE_LEASE);
    let (report, recovering) = run(world).await;
    assert_eq!(outcomes(&report), ["recover done"]);
    assert!(world.stored(conversation).await.lease.is_none());
    recovering - in_force
}

fn idle(assigned: u32) -> Ceiling {
    let requests = 3 + u32::try_from(SHARDS).unwrap() + assigned.div_ceil(BATCH) + PAGES;
    at_most(requests, requests).any_rounds().writes(2).any_reads()
}

async fn tick(world: &World) -> Figures {
    let (report, figures) = run(world).await;
    assert!(report.actions.is_empty(), "{report:?}");
    figures
}

async fn run(world: &World) -> (Report, Figures) {
    let (ran, figures) = world.measure(reconcile(&world.app)).await;
    match ran.unwrap() {
        Reconciled::Ran(report) => (report, figures),
        Reconciled::LeftToAnother => panic!("another reconcile runs"),
    }
}

fn outcomes(report: &Report) -> Vec<String> {
    report.actions.iter().map(|a| format!("{} {}", a.action, a.outcome)).collect()
}
