//! The CPU time of an enqueue does not grow with the stored messages or with the length of the table's stream.
//!
//! The test measures the CPU time of the thread that runs use case, SDK and engine, so other work of the machine does
//! not count. A group is the messages of one conversation: the first, which creates it, and the next ones.

use std::time::Duration;

use af_domain::ids::ConversationId;
use rustix::time::{ClockId, clock_gettime};

use crate::bulk::BulkMessages;
use crate::world::World;

/// Messages of one group.
const GROUP: usize = 5;
/// Groups of one window: a hundred messages.
const WINDOW: usize = 20;
/// Messages stored between the windows, whose records are in the stream.
const STORED: usize = 20_000;
/// Limit of the time of the last hundred messages relative to the first hundred.
const MAX_RATIO: f64 = 1.5;
/// Records in one read of the stream.
const RECORDS_PAGE: usize = 1_000;

#[allow(clippy::print_stdout, reason = "a reader of this test wants the figures")]
#[tokio::test]
async fn the_20_000th_enqueue_takes_at_most_one_and_a_half_times_the_first_hundred() {
    let world = World::new().await;
    let bulk = BulkMessages::of(&world).await;
    // This warm-up runs all initialisation of the process before the first window.
    windows(&World::new().await, &world).await;
    let world = World::new().await;
    bulk.store(&world, STORED, true).await;
    let unread = windows(&World::new().await, &world).await;
    let records = read_stream(&world);
    let read = windows(&World::new().await, &world).await;
    let figures = format!(
        "medians of {GROUP} enqueues, each of the first hundred messages and of a hundred after {STORED} more: {unread:?} \
         over a stream of {records} records, {read:?} after they were read and trimmed"
    );
    assert!(records > STORED, "{figures}");
    println!("{figures}");
    for (first, last) in [unread, read] {
        assert!(last.as_secs_f64() <= MAX_RATIO * first.as_secs_f64(), "{figures}");
    }
}

/// The medians of a window in each of two worlds. Their groups alternate, so a slow machine slows both.
async fn windows(empty: &World, full: &World) -> (Duration, Duration) {
    let (mut first, mut last) = (Vec::with_capacity(WINDOW), Vec::with_capacity(WINDOW));
    for _ in 0..WINDOW {
        first.push(group(empty).await);
        last.push(group(full).await);
    }
    (median(first), median(last))
}

fn median(mut costs: Vec<Duration>) -> Duration {
    costs.sort();
    costs[costs.len() / 2]
}

async fn group(world: &World) -> Duration {
    let conversation: ConversationId = world.new_conversation();
    let before = cpu_time();
    for _ in 0..GROUP {
        world.enqueue(world.message(&conversation)).await;
    }
    cpu_time() - before
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Reads the table's stream to its end and trims it, as the mappings of `dev` do. Returns the number of records.
fn read_stream(world: &World) -> usize {
    let (engine, table) = (world.bundle.aws.engine(), &world.bundle.template.tables[0].name);
    let (mut after, mut count) = (None::<String>, 0);
    loop {
        let page = engine.records(table, after.as_deref(), RECORDS_PAGE).unwrap();
        count += page.len();
        let Some(last) = page.last() else { return count };
        let sequence = last["dynamodb"]["SequenceNumber"].as_str().unwrap();
        engine.trim(table, sequence).unwrap();
        after = Some(sequence.to_owned());
    }
}
