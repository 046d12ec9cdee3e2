//! An enqueue costs the embedded engine the same however much is stored and however long the table's stream is.
//!
//! Measured as CPU time of the thread that does all of it, use case, SDK and engine: what else the machine does is
//! not in it. A group is what one conversation gets: its first message, which makes it, and those that follow.

use std::time::Duration;

use af_domain::ids::ConversationId;
use rustix::time::{ClockId, clock_gettime};

use crate::crowd::Crowd;
use crate::world::World;

/// Messages of one group.
const GROUP: usize = 5;
/// Groups of one window: a hundred messages.
const WINDOW: usize = 20;
/// Messages stored between the windows, whose records are in the stream.
const STORED: usize = 20_000;
/// What the last hundred may cost of the first.
const MAX_RATIO: f64 = 1.5;
/// Stream records read at once.
const RECORDS_PAGE: usize = 1_000;

#[allow(clippy::print_stdout, reason = "the figures are what this test is run for")]
#[tokio::test]
async fn the_20_000th_enqueue_costs_at_most_one_and_a_half_of_the_first_hundred() {
    let world = World::new().await;
    let crowd = Crowd::of(&world).await;
    // What happens once in a process is over before the first window begins.
    windows(&World::new().await, &world).await;
    let world = World::new().await;
    crowd.store(&world, STORED, true).await;
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

/// The medians of a window in each of two worlds. Their groups take turns: what slows the machine down slows both.
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

/// Reads the table's stream to its end and trims it, as the mappings of `dev` do; answers how long it was.
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
