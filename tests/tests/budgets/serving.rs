//! What workers ask for: polls, claims, heartbeats, history, the ends of a message.

use af_app::intake::enqueue::Enqueue;
use af_app::worker::{append, fail, heartbeat};
use af_domain::ids::WorkerId;
use af_domain::time::Millis;
use af_store::conversation::Commit;

use crate::figures::{Figures, Row, any_requests, at_most};
use crate::world::{A_MINUTE, A_SECOND, ALMOST_A_MINUTE, Held, SHARDS, TEXT, World, entries_of};

/// History entries that a bundle holds by default.
const CONTEXT_ENTRIES: usize = 64;
/// Bytes of each.
const CONTEXT_ENTRY_BYTES: usize = 400;
/// Entries that one append takes.
const APPEND_ENTRIES_MAX: usize = 50;
/// Number of the first update here; those of other rows are lower.
const FIRST_UPDATE: u64 = 100;
/// Conversations that the ready index may hold to be read in one request.
const GLANCE: usize = 32;
/// When the messages are due that make it longer.
const LATER: Millis = Millis::from_days(300);
/// Workers of which one begins in a shard that has nothing, and one in the only one that has something: each does the
/// former three times out of four.
const WORKERS_TRIED_MAX: usize = 20;

pub async fn rows(world: &World) -> Vec<Row> {
    for _ in 0..=GLANCE {
        let later = Some(world.app.now() + LATER);
        world.enqueue(Enqueue { scheduled_for: later, ..world.message(&world.new_conversation()) }).await;
    }
    let mut rows = claims(world).await;
    rows.extend(idle_polls(world).await);
    rows.extend(lease(world).await);
    rows.extend(ends(world).await);
    rows.extend(lives(world).await);
    rows
}

/// While the whole ready index is read at a glance; nobody waits in this world yet.
pub async fn short_index_rows(world: &World) -> Vec<Row> {
    let idlers = [living_worker(world).await, living_worker(world).await];
    let (polled, nothing) = world.measure(world.poll_free(&idlers[0], false)).await;
    assert!(polled.job.is_none());
    world.enqueue(world.message(&world.new_conversation())).await;
    let (polled, claimed) = world.measure(world.poll_free(&idlers[1], false)).await;
    let held = Held::of(&idlers[1], &polled);
    world.complete(&held, 0).await;
    world.let_go(&held).await;
    vec![
        Row::new("poll, nothing to do, unassigned worker ⁵", nothing, at_most(2, 1).reads(1.0)),
        Row::new(
            "… claim, when the last poll had found nothing ⁵",
            claimed,
            at_most(5, 3).writes(5).reads(3.0),
        ),
    ]
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

    let [free, waited, waited_alive] = free_claims(world).await;
    let elsewhere = claim_in_another_shard(world, false).await;
    let woken = claim_in_another_shard(world, true).await;
    let all_shards = 3.0 + 0.5 * f64::from(other_shards());
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
        Row::new(
            "… when the first shard had nothing",
            elsewhere,
            at_most(5 + other_shards(), 4).writes(5).reads(all_shards),
        ),
        Row::new("… when the last poll had found nothing ¹", waited, at_most(5, 3).writes(5).reads(3.0)),
        Row::new("… and its sign of life is due ²", waited_alive, at_most(5, 3).writes(5 + 1).reads(3.0)),
        Row::new(
            "… and reconcile has told it of work in another shard ¹",
            woken,
            at_most(5 + other_shards(), 4).writes(5).reads(all_shards),
        ),
    ]
}

/// Claims of workers without a conversation: one that has just come, one that has waited, and one that has waited for a
/// minute.
async fn free_claims(world: &World) -> [Figures; 3] {
    let idlers = [living_worker(world).await, living_worker(world).await];
    learn_that_the_index_is_long(world).await;
    world.bundle.clock.advance(ALMOST_A_MINUTE);
    for idler in &idlers {
        assert!(world.poll_free(idler, false).await.job.is_none());
    }
    // Whichever shard they ask first, three workers find something there.
    for shard in (0..SHARDS).cycle().take(3 * usize::try_from(SHARDS).unwrap()) {
        world.enqueue(world.message(&world.new_conversation_in(shard))).await;
    }
    let claim = async |worker: &WorkerId| {
        let (polled, figures) = world.measure(world.poll_free(worker, false)).await;
        world.complete(&Held::of(worker, &polled), 0).await;
        figures
    };
    let free = claim(&world.worker().await).await;
    let waited = claim(&idlers[0]).await;
    world.bundle.clock.advance(A_SECOND);
    let waited_alive = claim(&idlers[1]).await;
    world.clear().await;
    [free, waited, waited_alive]
}

fn other_shards() -> u32 {
    u32::try_from(SHARDS).unwrap() - 1
}

/// One conversation waits; workers ask until one begins in a shard that has nothing. Some have waited, and are woken.
async fn claim_in_another_shard(world: &World, waits: bool) -> Figures {
    for _ in 0..WORKERS_TRIED_MAX {
        let worker = if waits { living_worker(world).await } else { world.worker().await };
        if waits {
            learn_that_the_index_is_long(world).await;
            wake(world, &worker).await;
        }
        world.enqueue(world.message(&world.new_conversation_in(0))).await;
        let (polled, figures) = world.measure(world.poll_free(&worker, false)).await;
        world.complete(&Held::of(&worker, &polled), 0).await;
        if figures.rounds > 3 {
            return figures;
        }
    }
    panic!("every worker asked the right shard first");
}

/// As reconcile does when something is due.
async fn wake(world: &World, worker: &WorkerId) {
    let told = world.app.store.wake_if_free(worker, world.app.now()).await.unwrap();
    assert!(matches!(told, Commit::Done));
}

/// The function has looked at the whole ready index, and found it too long.
async fn learn_that_the_index_is_long(world: &World) {
    world.poll_free(&living_worker(world).await, false).await;
}

/// A worker without a conversation whose last poll, a moment ago, found nothing and was its sign of life.
async fn living_worker(world: &World) -> WorkerId {
    let worker = world.worker().await;
    assert!(world.poll_free(&worker, false).await.job.is_none());
    worker
}

async fn idle_polls(world: &World) -> Vec<Row> {
    let (owner, conversation) = world.settled_owner().await;
    let (_, assigned) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    let free = world.worker().await;
    learn_that_the_index_is_long(world).await;
    let (_, first_unassigned) = world.measure(world.poll_free(&free, false)).await;
    let (polled, unassigned) = world.measure(world.poll_free(&free, false)).await;
    assert!(polled.job.is_none() && !polled.control.should_stop);

    world.bundle.clock.advance(ALMOST_A_MINUTE);
    world.poll_free(&free, false).await;
    world.bundle.clock.advance(A_SECOND);
    let (_, alive_assigned) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    let (polled, alive_unassigned) = world.measure(world.poll_free(&free, false)).await;
    assert!(polled.job.is_none() && !polled.control.should_stop);
    wake(world, &free).await;
    let (polled, woken) = world.measure(world.poll_free(&free, false)).await;
    assert!(polled.job.is_none());
    let requests = 1 + u32::try_from(SHARDS).unwrap();
    let reads = 1.0 + 0.5 * f64::from(other_shards() + 1);
    vec![
        Row::new("poll, nothing to do, assigned worker", assigned, at_most(1, 1).reads(1.0)),
        Row::new(
            "… once a minute, with its sign of life",
            alive_assigned,
            at_most(1, 1).writes(1).reads(1.0),
        ),
        Row::new("poll, nothing to do, unassigned worker ¹", unassigned, at_most(2, 1).reads(1.0)),
        Row::new(
            "… once a minute, with its sign of life",
            alive_unassigned,
            at_most(2, 1).writes(1).reads(1.0),
        ),
        Row::new(
            "… when reconcile has told it of work that is gone ¹",
            woken,
            at_most(requests, 2).reads(reads),
        ),
        Row::new(
            "… the first that finds nothing ¹",
            first_unassigned,
            at_most(requests + 1, 3).writes(1).reads(reads),
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
    append_to(world, &held, 0, APPEND_ENTRIES_MAX, &content).await;
    append_to(world, &held, APPEND_ENTRIES_MAX as u64, CONTEXT_ENTRIES - APPEND_ENTRIES_MAX, &content).await;
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
        Row::new("whole life, owned conversation ³", owned, any_requests().writes(17)),
        Row::new("… by Telegram ³", life_by_telegram(world).await, any_requests().writes(17)),
        Row::new("whole life, conversation without an owner ³", unowned, any_requests().writes(22)),
    ]
}

/// The life of a message that is found in the first shard that its worker asks.
async fn life_without_owner(world: &World) -> Figures {
    for _ in 0..WORKERS_TRIED_MAX {
        let (worker, conversation) = (world.worker().await, world.idle_conversation().await);
        let (_, accepted) = world.measure(world.enqueue(world.message(&conversation))).await;
        let (polled, claimed) = world.measure(world.poll_free(&worker, true)).await;
        let life = accepted + claimed + work(world, &Held::of(&worker, &polled)).await;
        if claimed.rounds == 3 {
            return life;
        }
    }
    panic!("every worker asked a shard first that had nothing");
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
