//! How many messages wait in a conversation, and how long its history is, changes no number of requests.

use af_app::conversations::read_models::{self, Part};
use af_domain::ids::{ConsumerUserId, ConversationId, WorkerId};

use crate::crowd;
use crate::figures::Figures;
use crate::serving::{append_to, beat, give_back};
use crate::world::{Held, TEXT, World};
use crate::{has_large_tables, on_a_large_stack};

/// The most that may wait in one conversation, by default.
const DEEP: usize = 200;
/// Appends that make a long history, and entries of each.
const APPENDS: usize = 10;
const ENTRIES: usize = 50;

/// Requests and rounds of: enqueue, claim with hydration, heartbeat, append 2, complete with 2, fail.
const EXPECTED: [(u32, u32); 6] = [(1, 1), (4, 2), (1, 1), (1, 1), (1, 1), (2, 2)];

/// What these operations take once `waiting` messages wait.
async fn requests(
    world: &World,
    worker: &WorkerId,
    conversation: &ConversationId,
    waiting: usize,
) -> [(u32, u32); 6] {
    for _ in 1..waiting {
        world.enqueue(world.message(conversation)).await;
    }
    let (_, accepted) = world.measure(world.enqueue(world.message(conversation))).await;
    assert_eq!(world.stored(conversation).await.queue.len(), waiting);
    let (polled, claimed) = world.measure(world.poll_owned(worker, conversation, true)).await;
    let held = Held::of(worker, &polled);
    let (_, beat) = world.measure(beat(world, &held)).await;
    let (_, appended) = world.measure(append_to(world, &held, 0, 2, TEXT)).await;
    let (_, completed) = world.measure(world.complete(&held, 2)).await;
    world.enqueue(world.message(conversation)).await;
    let held = world.claim(worker, conversation).await;
    let failed = give_back(world, &held, true).await;
    [accepted, claimed, beat, appended, completed, failed].map(|f: Figures| (f.requests, f.rounds))
}

#[tokio::test]
async fn queue_depth_changes_no_number_of_requests() {
    let world = World::new().await;
    for waiting in [1, DEEP] {
        let (worker, conversation) = world.settled_owner().await;
        assert_eq!(requests(&world, &worker, &conversation, waiting).await, EXPECTED, "{waiting} wait");
    }
}

#[tokio::test]
async fn history_length_changes_no_number_of_requests() {
    let world = World::new().await;
    let held = world.busy_owner(None).await;
    for nth in 0..APPENDS {
        append_to(&world, &held, (nth * ENTRIES) as u64, ENTRIES, TEXT).await;
    }
    world.complete(&held, 0).await;
    assert_eq!(requests(&world, &held.worker, &held.conversation, 1).await, EXPECTED);
}

/// Entries of a short history, of a long one, and of one where `LARGE_TABLES` is set; and messages that wrote them.
const SHORT: (usize, usize) = (200, 200);
const LONG: (usize, usize) = (20_000, 2_000);
const LONGEST: (usize, usize) = (100_000, 2_000);
/// Entries in each list of a conversation's view.
const VIEW: u32 = 50;

/// What these cost in a conversation with so many entries and messages: hydrate beside a claim, append 2, complete
/// with 2, and two pages of its view.
async fn costs(world: &World, (entries, messages): (usize, usize)) -> Vec<(&'static str, Figures)> {
    let conversation = world.new_conversation();
    let message = world.enqueue(world.message(&conversation)).await;
    let worker = world.owner(&conversation).await;
    let held = world.claim(&worker, &conversation).await;
    world.complete(&held, 2).await;
    crowd::prolong(world, &conversation, &message, messages, entries).await;

    world.enqueue(world.message(&conversation)).await;
    let (polled, claim) = world.measure(world.poll_owned(&worker, &conversation, true)).await;
    assert_eq!(polled.bundle.as_ref().unwrap().context_history.len(), 64);
    let held = Held::of(&worker, &polled);
    let (_, append) = world.measure(append_to(world, &held, 0, 2, TEXT)).await;
    let (_, complete) = world.measure(world.complete(&held, 2)).await;

    let user = ConsumerUserId::parse(conversation.as_str().rsplit(':').next().unwrap()).unwrap();
    let first = Part { limit: VIEW, ..Part::default() };
    let view = read_models::conversation(&world.app, &user, &world.agent, &first);
    let (view, newest) = world.measure(view).await;
    let view = view.unwrap();
    assert_eq!((view.history.len(), view.queue_items.len()), (VIEW as usize, VIEW as usize));
    let second = Part { limit: VIEW, history_before: view.older_history, items_before: view.older_items };
    assert!(second.history_before.is_some() && second.items_before.is_some());
    let (older, page) =
        world.measure(read_models::conversation(&world.app, &user, &world.agent, &second)).await;
    assert_eq!(older.unwrap().history.len(), VIEW as usize);
    vec![("claim", claim), ("append", append), ("complete", complete), ("view", newest), ("older view", page)]
}

#[test]
fn history_length_changes_no_cost() {
    let [short, long] = on_a_large_stack(async || {
        let world = World::new().await;
        let long = if has_large_tables() { LONGEST } else { LONG };
        [costs(&world, SHORT).await, costs(&world, long).await]
    });
    assert_eq!(short, long);
}

/// 16 000 tokens are 64 KB: one page of DynamoDB, of which these 16 MB are sixteen, has more than that.
#[test]
fn what_is_read_of_large_entries_follows_the_budget_and_not_their_number() {
    on_a_large_stack(large_entries);
}

async fn large_entries() {
    const ENTRIES: usize = 64;
    const ENTRY_BYTES: usize = 256 * 1024;
    const PER_APPEND: usize = 8;
    /// Strongly consistent, a unit is 4 KB.
    const UNITS_OF_A_PAGE: f64 = 256.0;
    let world = World::new().await;
    let held = world.busy_owner(None).await;
    let content = "x".repeat(ENTRY_BYTES);
    for nth in 0..ENTRIES / PER_APPEND {
        append_to(&world, &held, (nth * PER_APPEND) as u64, PER_APPEND, &content).await;
    }
    world.complete(&held, 0).await;
    world.enqueue(world.message(&held.conversation)).await;
    let (polled, figures) = world.measure(world.poll_owned(&held.worker, &held.conversation, true)).await;
    let history = polled.bundle.unwrap().context_history;
    assert_eq!(history.len(), 1, "the newest comes although it is four times the budget");
    assert_eq!((figures.requests, figures.rounds), (4, 2));
    assert!(figures.read_units <= UNITS_OF_A_PAGE + 9.0, "{figures:?}");
}
