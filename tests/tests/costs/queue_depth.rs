//! The depth of a queue and the length of a history change no number of requests.

use af_app::conversations::view::{self, HistoryPlace, ItemPlace, Part};
use af_domain::ids::{ConsumerUserId, ConversationId, WorkerId};

use crate::bulk;
use crate::figures::Figures;
use crate::on_a_large_stack;
use crate::serving::{append_to, report_failure, send_heartbeat};
use crate::world::{RunningMessage, TEXT, World};

/// The policy default for the depth of one queue.
const DEEP: usize = 200;
/// The number of appends for a long history, and the entries of each append.
const APPENDS: usize = 10;
const ENTRIES: usize = 50;

/// Requests and rounds of: enqueue, claim with hydration (its workspace included), heartbeat, append 2, complete with 2, fail.
const EXPECTED: [(u32, u32); 6] = [(1, 1), (6, 2), (1, 1), (1, 1), (1, 1), (2, 2)];

/// The requests and rounds of these operations when `waiting` messages wait.
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
    let running = RunningMessage::of(worker, &polled);
    let (_, heartbeat) = world.measure(send_heartbeat(world, &running)).await;
    let (_, appended) = world.measure(append_to(world, &running, 0, 2, TEXT)).await;
    let (_, completed) = world.measure(world.complete(&running, 2)).await;
    world.enqueue(world.message(conversation)).await;
    let running = world.claim(worker, conversation).await;
    let failed = report_failure(world, &running, true).await;
    [accepted, claimed, heartbeat, appended, completed, failed].map(|f: Figures| (f.requests, f.rounds))
}

#[test]
fn the_depth_of_a_queue_changes_no_number_of_requests() {
    on_a_large_stack(depth_of_a_queue);
}

async fn depth_of_a_queue() {
    let world = World::new().await;
    for waiting in [1, DEEP] {
        let (worker, conversation) = world.idle_owner().await;
        assert_eq!(requests(&world, &worker, &conversation, waiting).await, EXPECTED, "{waiting} wait");
    }
}

#[test]
fn the_length_of_a_history_changes_no_number_of_requests() {
    on_a_large_stack(length_of_a_history);
}

async fn length_of_a_history() {
    let world = World::new().await;
    let running = world.busy_owner(None).await;
    for nth in 0..APPENDS {
        append_to(&world, &running, (nth * ENTRIES) as u64, ENTRIES, TEXT).await;
    }
    world.complete(&running, 0).await;
    assert_eq!(requests(&world, &running.worker, &running.conversation, 1).await, EXPECTED);
}

/// Entries of a short history and a long one, each with its number of messages.
const SHORT: (usize, usize) = (200, 200);
const LONG: (usize, usize) = (100_000, 10_000);
/// Entries in each list of a conversation's view.
const VIEW: u32 = 50;
/// Requests of a page of a conversation's view: its history, the index of its messages, and one batch.
const VIEW_REQUESTS: u32 = 3;

/// The costs in a conversation with this many entries and messages: claim with hydration, append 2, complete with 2,
/// and two pages of its view.
async fn costs(world: &World, (entries, messages): (usize, usize)) -> Vec<(&'static str, Figures)> {
    let conversation = world.new_conversation();
    let message = world.enqueue(world.message(&conversation)).await;
    let worker = world.owner(&conversation).await;
    let running = world.claim(&worker, &conversation).await;
    world.complete(&running, 2).await;
    bulk::extend_history(world, &conversation, &message, messages, entries).await;

    world.enqueue(world.message(&conversation)).await;
    let (polled, claim) = world.measure(world.poll_owned(&worker, &conversation, true)).await;
    assert_eq!(polled.bundle.as_ref().unwrap().context_history.len(), 64);
    let running = RunningMessage::of(&worker, &polled);
    let (_, append) = world.measure(append_to(world, &running, 0, 2, TEXT)).await;
    let (_, complete) = world.measure(world.complete(&running, 2)).await;

    let user = ConsumerUserId::parse(conversation.as_str().rsplit(':').next().unwrap()).unwrap();
    let first = Part { limit: VIEW, ..Part::default() };
    let view = view::conversation(&world.app, &user, &world.agent, &first);
    let (view, newest) = world.measure(view).await;
    let view = view.unwrap();
    assert_eq!((view.context_history.len(), view.queue_items.len()), (VIEW as usize, VIEW as usize));
    let second = Part {
        limit: VIEW,
        history: view.next_history_cursor.as_deref().and_then(HistoryPlace::read),
        items: view.next_queue_cursor.as_deref().and_then(ItemPlace::read),
    };
    assert!(second.history.is_some() && second.items.is_some());
    let (older, page) = world.measure(view::conversation(&world.app, &user, &world.agent, &second)).await;
    assert_eq!(older.unwrap().context_history.len(), VIEW as usize);
    vec![("claim", claim), ("append", append), ("complete", complete), ("view", newest), ("older view", page)]
}

#[test]
fn the_length_of_a_history_changes_no_cost_and_a_page_of_its_view_takes_three_requests() {
    let [short, long] = on_a_large_stack(async || {
        let world = World::new().await;
        [costs(&world, SHORT).await, costs(&world, LONG).await]
    });
    assert_eq!(short, long);
    for (name, figures) in long.iter().filter(|(name, _)| name.ends_with("view")) {
        assert_eq!(figures.requests, VIEW_REQUESTS, "{name}");
    }
}

/// The budget of 16 000 tokens is 64 KB. One page of DynamoDB is larger than that, and these 16 MB are sixteen pages.
#[test]
fn a_claim_reads_large_entries_only_up_to_the_budget() {
    on_a_large_stack(large_entries);
}

async fn large_entries() {
    const ENTRIES: usize = 64;
    const ENTRY_BYTES: usize = 256 * 1024;
    const PER_APPEND: usize = 8;
    /// The units of a strongly consistent read of one page: a unit is 4 KB.
    const UNITS_OF_A_PAGE: f64 = 256.0;
    let world = World::new().await;
    let running = world.busy_owner(None).await;
    let content = "x".repeat(ENTRY_BYTES);
    for nth in 0..ENTRIES / PER_APPEND {
        append_to(&world, &running, (nth * PER_APPEND) as u64, PER_APPEND, &content).await;
    }
    world.complete(&running, 0).await;
    world.enqueue(world.message(&running.conversation)).await;
    let (polled, figures) =
        world.measure(world.poll_owned(&running.worker, &running.conversation, true)).await;
    let history = polled.bundle.unwrap().context_history;
    assert_eq!(history.len(), 1, "the bundle contains the newest entry although it is four times the budget");
    assert_eq!((figures.requests, figures.rounds), (6, 2));
    assert!(figures.read_units <= UNITS_OF_A_PAGE + 9.0, "{figures:?}");
}
