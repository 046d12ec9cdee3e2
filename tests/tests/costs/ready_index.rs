//! A free conversation is found behind any number of others that are locked, or listed although nothing is due.

use af_app::intake::enqueue::Enqueue;
use af_app::worker::Polled;
use af_domain::conversation::{Priority, ReadyKey};
use af_domain::ids::{ConversationId, MessageId, WorkerId};
use af_domain::time::Millis;
use serde_json::json;

use crate::crowd::{Names, Pattern, write};
use crate::figures::Figures;
use crate::world::{SHARDS, World};

/// Conversations that stand in front, and messages that wait in each of the locked ones.
const IN_FRONT: usize = 1_000;
const WAITING_IN_EACH: usize = 5;
/// Their priority; the free one has the default.
const URGENT: u64 = 90;
/// Requests of one claim.
const CLAIM_REQUESTS: u32 = 5;
/// Entries of the ready index that a poll reads, of each shard.
const PAGE: usize = 64;
/// Polls until an index full of entries that are out of date is right again: each repairs a page, and the last one claims.
const MAX_POLLS: usize = IN_FRONT.div_ceil(PAGE) + 1;
/// Requests of one such poll: its worker's row, the page, a repair of each entry, and the three reads that lead to these.
const MAX_POLL_REQUESTS: u32 = 2 + PAGE as u32 + 3;
/// When the messages of the conversations that are listed too early are due.
const LATER: Millis = Millis::from_days(1);

/// What one poll costs, and what it got.
async fn poll(world: &World, worker: &WorkerId) -> (Polled, Figures) {
    world.measure(world.poll_free(worker, false)).await
}

/// A message of the default priority in a conversation of its own.
async fn free_message(world: &World) -> MessageId {
    world.enqueue(world.message(&world.new_conversation())).await
}

fn won(polled: &Polled) -> Option<&MessageId> {
    polled.job.as_ref().map(|job| &job.lease.entry.message)
}

/// Copies under other names of a conversation in which messages wait and one runs, in its owner's hands.
async fn lock(world: &World) {
    let (worker, conversation) = world.settled_owner().await;
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
async fn five_thousand_messages_of_locked_conversations_hide_no_free_one() {
    let world = World::new().await;
    lock(&world).await;
    let (free, worker) = (free_message(&world).await, world.worker().await);
    let (polled, cost) = poll(&world, &worker).await;
    assert_eq!(won(&polled), Some(&free));
    assert_eq!((cost.requests, cost.rounds), (CLAIM_REQUESTS, 3));
}

/// Copies of a conversation that is listed as due with a high priority, although its message is not due before
/// tomorrow.
async fn list_too_early(world: &World) {
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

/// Entries of the ready index that are due by now.
async fn listed(world: &World) -> usize {
    let mut count = 0;
    for shard in 0..SHARDS {
        count += world.app.store.ready_page(shard, world.app.now(), 2_000, None).await.unwrap().0.len();
    }
    count
}

#[tokio::test]
async fn a_thousand_entries_that_are_out_of_date_hide_no_free_one_for_long() {
    let world = World::new().await;
    list_too_early(&world).await;
    assert_eq!(listed(&world).await, IN_FRONT);
    let (free, worker) = (free_message(&world).await, world.worker().await);
    let mut polls = 0;
    loop {
        let before = listed(&world).await;
        let (polled, cost) = poll(&world, &worker).await;
        polls += 1;
        assert!(cost.requests <= MAX_POLL_REQUESTS, "{cost:?}");
        if won(&polled) == Some(&free) {
            break;
        }
        assert!(polled.job.is_none() && polls < MAX_POLLS, "{polls} polls");
        assert!(listed(&world).await < before, "what a poll has found out of date is right after it");
    }
}
