//! A poll finds a free conversation behind any number of others that are locked, or listed although nothing is due.

use af_app::intake::enqueue::Enqueue;
use af_app::worker::Polled;
use af_domain::conversation::{Priority, ReadyKey};
use af_domain::ids::{ConversationId, MessageId, WorkerId};
use af_domain::time::Millis;
use serde_json::json;

use crate::bulk::{Names, Pattern, write};
use crate::figures::Figures;
use crate::world::{SHARDS, World};

/// Conversations in front of the free one, and waiting messages in each of the locked ones.
const IN_FRONT: usize = 1_000;
const WAITING_IN_EACH: usize = 5;
/// The priority of these conversations. The free one has the default.
const URGENT: u64 = 90;
/// Requests of one poll that claims.
const CLAIM_REQUESTS: u32 = 6;
/// Entries of the ready index that a poll reads from each shard.
const PAGE: usize = 64;
/// Polls until an index full of stale entries is repaired: each poll repairs a page, and the last one claims.
const MAX_POLLS: usize = IN_FRONT.div_ceil(PAGE) + 1;
/// Requests of one such poll: its worker's row, the page, a repair of each entry, and three reads before the repairs.
const MAX_POLL_REQUESTS: u32 = 2 + PAGE as u32 + 3;
/// The delay until the messages of the stale entries are due.
const LATER: Millis = Millis::from_days(1);

/// Polls and returns the result with its cost.
async fn poll(world: &World, worker: &WorkerId) -> (Polled, Figures) {
    world.measure(world.poll_free(worker, false)).await
}

/// A message of the default priority in a conversation of its own.
async fn free_message(world: &World) -> MessageId {
    world.enqueue(world.message(&world.new_conversation())).await
}

fn claimed_message(polled: &Polled) -> Option<&MessageId> {
    polled.job.as_ref().map(|job| &job.lease.entry.message)
}

/// Stores copies of a conversation in which one message runs and others wait. Each copy has other names.
async fn store_locked_conversations(world: &World) {
    let (worker, conversation) = world.idle_owner().await;
    let urgent = || Enqueue { priority: Some(URGENT), ..world.message(&conversation) };
    world.enqueue(urgent()).await;
    world.claim(&worker, &conversation).await;
    let mut messages = Vec::new();
    for _ in 0..WAITING_IN_EACH {
        messages.push(world.enqueue(urgent()).await.to_string());
    }
    let names = Names { conversation, messages, worker: Some(worker) };
    let pattern = Pattern::of(world, names).await;
    let copies = (1..IN_FRONT).flat_map(|nth| {
        pattern.copy(&Names {
            conversation: ConversationId::parse(format!("user-agent:demo:locked-{nth}")).unwrap(),
            messages: (0..WAITING_IN_EACH).map(|m| format!("L{:025}", nth * WAITING_IN_EACH + m)).collect(),
            worker: Some(WorkerId::parse(format!("w-locked-{nth:019}")).unwrap()),
        })
    });
    write(world, copies, false).await;
}

#[tokio::test]
async fn a_poll_finds_a_free_conversation_behind_five_thousand_locked_messages() {
    let world = World::new().await;
    store_locked_conversations(&world).await;
    let (free, worker) = (free_message(&world).await, world.worker().await);
    let (polled, cost) = poll(&world, &worker).await;
    assert_eq!(claimed_message(&polled), Some(&free));
    assert_eq!((cost.requests, cost.rounds), (CLAIM_REQUESTS, 3));
}

/// Stores copies of a conversation that is listed as due with a high priority, although its message is due tomorrow.
async fn store_stale_entries(world: &World) {
    let conversation = world.new_conversation();
    let scheduled_for = Some(world.app.now() + LATER);
    let message = world.enqueue(Enqueue { scheduled_for, ..world.message(&conversation) }).await;
    let names =
        Names { conversation: conversation.clone(), messages: vec![message.to_string()], worker: None };
    let listed = ReadyKey::due(Priority::new(URGENT).unwrap(), world.app.now());
    let pattern = Pattern::of(world, names).await;
    let copies = (0..IN_FRONT).flat_map(|nth| {
        let conversation = ConversationId::parse(format!("user-agent:demo:early-{nth}")).unwrap();
        pattern.copy(&Names { conversation, messages: vec![format!("E{nth:025}")], worker: None })
    });
    let early = copies.map(|mut item| {
        if item["rk"].is_object() {
            item["rk"] = json!({"S": listed.as_str()});
        }
        item
    });
    write(world, early, false).await;
}

/// The number of entries of the ready index that are listed as due.
async fn listed(world: &World) -> usize {
    let mut count = 0;
    for shard in 0..SHARDS {
        count += world.app.store.ready_page(shard, world.app.now(), 2_000, None).await.unwrap().items.len();
    }
    count
}

#[tokio::test]
async fn polls_repair_a_thousand_stale_entries_and_find_the_free_conversation() {
    let world = World::new().await;
    store_stale_entries(&world).await;
    assert_eq!(listed(&world).await, IN_FRONT);
    let (free, worker) = (free_message(&world).await, world.worker().await);
    let mut polls = 0;
    loop {
        let before = listed(&world).await;
        let (polled, cost) = poll(&world, &worker).await;
        polls += 1;
        assert!(cost.requests <= MAX_POLL_REQUESTS, "{cost:?}");
        if claimed_message(&polled) == Some(&free) {
            break;
        }
        assert!(polled.job.is_none() && polls < MAX_POLLS, "{polls} polls");
        assert!(listed(&world).await < before, "a poll repairs the stale entries that it finds");
    }
}
