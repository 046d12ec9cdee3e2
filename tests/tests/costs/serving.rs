//! What workers ask for: polls, claims, heartbeats, history, the ends of a message.

use af_app::worker::{append, fail, heartbeat};
use af_domain::ids::WorkerId;

use crate::figures::{Figures, Row, any_requests, at_most};
use crate::world::{A_MINUTE, A_SECOND, ALMOST_A_MINUTE, Held, TEXT, World, entries_of};

/// History entries that a bundle holds by default.
const CONTEXT_ENTRIES: usize = 64;
/// Bytes of each.
const CONTEXT_ENTRY_BYTES: usize = 400;
/// Entries that one append takes.
const MAX_APPEND_ENTRIES: usize = 50;
/// Number of the first update here; those of other rows are lower.
const FIRST_UPDATE: u64 = 100;

pub async fn rows(world: &World) -> Vec<Row> {
    let mut rows = claims(world).await;
    rows.extend(idle_polls(world).await);
    rows.extend(lease(world).await);
    rows.extend(ends(world).await);
    rows.extend(lives(world).await);
    rows
}

async fn claims(world: &World) -> Vec<Row> {
    let (owner, conversation) = world.settled_owner().await;
    world.enqueue(world.message(&conversation)).await;
    let (polled, owned) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    world.complete(&Held::of(&owner, &polled), 0).await;
    world.bundle.clock.advance(A_MINUTE);
    world.enqueue(world.message(&conversation)).await;
    let (polled, owned_alive) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    assert!(polled.job.is_some());

    let [free, free_alive] = free_claims(world).await;
    vec![
        Row::new(
            "claim, assigned worker, with the message's body",
            owned,
            at_most(3, 2).writes(2).reads(1.0),
        ),
        Row::new("… when its sign of life is due", owned_alive, at_most(3, 2).writes(2).reads(1.0)),
        Row::new(
            "claim, unassigned worker, with the message's body",
            free,
            at_most(5, 3).writes(5).reads(3.0),
        ),
        Row::new("… when its sign of life is due ¹", free_alive, at_most(5, 3).writes(5 + 1).reads(3.0)),
    ]
}

/// Claims of workers without a conversation: one whose sign of life is a moment old, and one whose sign of life is due.
async fn free_claims(world: &World) -> [Figures; 2] {
    let free = [living_worker(world).await, living_worker(world).await];
    let claim = async |worker: &WorkerId| {
        world.enqueue(world.message(&world.new_conversation())).await;
        let (polled, figures) = world.measure(world.poll_free(worker, false)).await;
        world.complete(&Held::of(worker, &polled), 0).await;
        figures
    };
    world.bundle.clock.advance(ALMOST_A_MINUTE);
    let alive = claim(&free[0]).await;
    world.bundle.clock.advance(A_SECOND);
    [alive, claim(&free[1]).await]
}

/// A worker without a conversation whose last poll, a moment ago, found nothing and was its sign of life.
pub async fn living_worker(world: &World) -> WorkerId {
    let worker = world.worker().await;
    assert!(world.poll_free(&worker, false).await.job.is_none());
    worker
}

async fn idle_polls(world: &World) -> Vec<Row> {
    let (owner, conversation) = world.settled_owner().await;
    let (_, assigned) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    let free = living_worker(world).await;
    let (polled, unassigned) = world.measure(world.poll_free(&free, false)).await;
    assert!(polled.job.is_none() && !polled.control.should_stop);

    world.bundle.clock.advance(ALMOST_A_MINUTE);
    world.poll_free(&free, false).await;
    world.bundle.clock.advance(A_SECOND);
    let (_, alive_assigned) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    let (polled, alive_unassigned) = world.measure(world.poll_free(&free, false)).await;
    assert!(polled.job.is_none() && !polled.control.should_stop);
    vec![
        Row::new("poll, nothing to do, assigned worker", assigned, at_most(1, 1).reads(1.0)),
        Row::new(
            "… once a minute, with its sign of life",
            alive_assigned,
            at_most(1, 1).writes(1).reads(1.0),
        ),
        Row::new("poll, nothing to do, unassigned worker", unassigned, at_most(2, 1).reads(1.0)),
        Row::new(
            "… once a minute, with its sign of life",
            alive_unassigned,
            at_most(2, 1).writes(1).reads(0.5),
        ),
    ]
}

async fn lease(world: &World) -> Vec<Row> {
    let held = world.busy_owner(None).await;
    let (_, beat) = world.measure(beat(world, &held)).await;
    let (_, appended) = world.measure(append_to(world, &held, 0, 2, TEXT)).await;
    vec![
        Row::new("heartbeat", beat, at_most(1, 1).writes(1)),
        Row::new(
            "hydrate, 64 history entries of 400 B, beside the claim",
            hydrate(world).await,
            at_most(2, 1).reads(9.0),
        ),
        Row::new("append 2 history entries", appended, at_most(1, 1).writes(6)),
    ]
}

/// What a poll costs more for the bundle.
async fn hydrate(world: &World) -> Figures {
    let held = world.busy_owner(None).await;
    let content = "h".repeat(CONTEXT_ENTRY_BYTES);
    append_to(world, &held, 0, MAX_APPEND_ENTRIES, &content).await;
    append_to(world, &held, MAX_APPEND_ENTRIES as u64, CONTEXT_ENTRIES - MAX_APPEND_ENTRIES, &content).await;
    world.complete(&held, 0).await;
    let Held { worker, conversation, .. } = held;
    let mut costs = Vec::new();
    for hydrate in [false, true] {
        world.enqueue(world.message(&conversation)).await;
        let (polled, cost) = world.measure(world.poll_owned(&worker, &conversation, hydrate)).await;
        let entries = polled.bundle.as_ref().map_or(0, |b| b.context_history.len());
        assert_eq!(entries, if hydrate { CONTEXT_ENTRIES } else { 0 });
        world.complete(&Held::of(&worker, &polled), 0).await;
        costs.push(cost);
    }
    costs[1] - costs[0]
}

pub async fn beat(world: &World, held: &Held) {
    let beat = heartbeat(&world.app, &held.worker, &held.message, &held.lease, Some("thinking")).await;
    assert!(beat.unwrap().held);
}

pub async fn append_to(world: &World, held: &Held, ordinal: u64, count: usize, content: &str) {
    let entries = entries_of(count, content, world);
    let Held { worker, conversation, lease, .. } = held;
    append(&world.app, worker, conversation, lease, ordinal, &entries, None).await.unwrap();
}

async fn ends(world: &World) -> Vec<Row> {
    let held = world.busy_owner(None).await;
    let (_, completed) = world.measure(world.complete(&held, 0)).await;
    let held = world.busy_owner(None).await;
    let (_, with_history) = world.measure(world.complete(&held, 2)).await;
    let held = world.busy_owner(None).await;
    let requeued = give_back(world, &held, true).await;
    let held = world.busy_owner(Some(1)).await;
    let dead = give_back(world, &held, false).await;
    let may_fail = at_most(2, 2).writes(6).reads(1.0);
    vec![
        Row::new("complete", completed, at_most(1, 1).writes(4)),
        Row::new("complete with 2 history entries", with_history, at_most(1, 1).writes(8)),
        Row::new("fail → waits for its retry", requeued, may_fail),
        Row::new("fail → dead letter, with its mark", dead, may_fail),
    ]
}

pub async fn give_back(world: &World, held: &Held, requeued: bool) -> Figures {
    let Held { worker, message, lease, .. } = held;
    let call = fail(&world.app, worker, message, lease, "the engine answered nothing", true);
    let (failed, figures) = world.measure(call).await;
    assert_eq!(failed.unwrap().requeued, requeued);
    figures
}

/// From the enqueue to the end.
async fn lives(world: &World) -> Vec<Row> {
    let (worker, conversation) = world.settled_owner().await;
    let (_, accepted) = world.measure(world.enqueue(world.message(&conversation))).await;
    let (polled, claimed) = world.measure(world.poll_owned(&worker, &conversation, true)).await;
    let owned = accepted + claimed + work(world, &Held::of(&worker, &polled)).await;

    let unowned = life_without_owner(world).await;
    vec![
        Row::new("whole life, owned conversation ²", owned, any_requests().writes(17)),
        Row::new("… by Telegram ²", life_by_telegram(world).await, any_requests().writes(17)),
        Row::new("whole life, conversation without an owner ²", unowned, any_requests().writes(22)),
    ]
}

async fn life_without_owner(world: &World) -> Figures {
    let (worker, conversation) = (living_worker(world).await, world.idle_conversation().await);
    let (_, accepted) = world.measure(world.enqueue(world.message(&conversation))).await;
    let (polled, claimed) = world.measure(world.poll_free(&worker, true)).await;
    accepted + claimed + work(world, &Held::of(&worker, &polled)).await
}

async fn life_by_telegram(world: &World) -> Figures {
    let (conversation, chat) = world.bound_user().await;
    world.push(FIRST_UPDATE, chat).await;
    let worker = world.owner(&conversation).await;
    let held = world.claim(&worker, &conversation).await;
    world.complete(&held, 0).await;
    let (_, accepted) = world.measure(world.push(FIRST_UPDATE + 1, chat)).await;
    let (polled, claimed) = world.measure(world.poll_owned(&worker, &conversation, true)).await;
    accepted + claimed + work(world, &Held::of(&worker, &polled)).await
}

async fn work(world: &World, held: &Held) -> Figures {
    let (_, beat) = world.measure(beat(world, held)).await;
    let (_, appended) = world.measure(append_to(world, held, 0, 2, TEXT)).await;
    let (_, completed) = world.measure(world.complete(held, 0)).await;
    beat + appended + completed
}
