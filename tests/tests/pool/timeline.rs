//! The pool in virtual time: forty conversations arrive, are served, and become idle.

use std::collections::BTreeSet;
use std::fmt::Write;

use af_domain::ids::MessageId;
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::time::Millis;
use af_runtime::clock::Clock;
use serde_json::json;

use crate::fleet::Fleet;
use crate::report;
use crate::world::{TICK, World};

const CONVERSATIONS: usize = 40;
const MAX_WORKERS: usize = 25;
/// The time that the provider needs for 25 machines: three at once, then one a second.
const GROWTH_TIME: u64 = (MAX_WORKERS as u64 - 3) * 1_000;
/// The tolerance beyond that, because the first volumes are created before the first machines.
const SLACK: u64 = 5_000;
/// The time that 25 machines need to stop and to be removed, with one tick a minute.
const TEARDOWN_TIME: Millis = Millis::from_secs(600);
/// The largest number of rounds until all messages have ended, and until all workers have ended.
const MAX_ROUNDS: usize = 60;

struct Timeline<'a> {
    world: &'a World,
    messages: Vec<MessageId>,
    began: u64,
    lines: String,
}

impl<'a> Timeline<'a> {
    fn new(world: &'a World, messages: Vec<MessageId>) -> Self {
        Self { world, messages, began: world.bundle.clock.now().as_millis(), lines: String::new() }
    }

    fn millis(&self) -> u64 {
        self.world.bundle.clock.now().as_millis() - self.began
    }

    async fn waiting(&self) -> usize {
        let mut waiting = 0;
        for message in &self.messages {
            waiting += usize::from(self.is_queued(message).await);
        }
        waiting
    }

    async fn is_queued(&self, message: &MessageId) -> bool {
        self.world.status_and_attempts(message).await.0 == MessageStatus::Queued
    }

    /// Whether all messages have ended. It reads only up to the first message that has not, and does not read the ended
    /// ones again.
    async fn have_all_ended(&mut self) -> bool {
        while let Some(message) = self.messages.last() {
            if self.is_queued(message).await {
                return false;
            }
            self.messages.pop();
        }
        true
    }

    /// Records the state of the pool and checks the conditions that always hold.
    async fn record(&mut self, what: &str) {
        self.world.assert_exclusive().await;
        self.world.assert_no_orphans().await;
        let (machines, rows) = (self.world.backend.machines().await.len(), self.world.workers().await.len());
        assert!(rows <= MAX_WORKERS, "{rows} workers");
        let (seconds, waiting) = (self.millis() / 1_000, self.waiting().await);
        writeln!(
            self.lines,
            "{seconds:>6} s  {machines:>2} machines  {rows:>2} rows  {waiting:>2} waiting  {what}"
        )
        .unwrap();
    }
}

#[tokio::test]
async fn the_pool_grows_for_forty_conversations_serves_them_and_scales_to_zero() {
    let world = World::with_policies(json!({"scaling": {"maxWorkers": MAX_WORKERS, "spawnStep": 3}})).await;
    let conversations: Vec<String> = (0..CONVERSATIONS).map(|n| format!("conversation-{n:02}")).collect();
    let mut messages = Vec::new();
    for conversation in &conversations {
        messages.push(world.enqueue(conversation).await);
        world.advance(Millis::new(1));
    }
    let mut fleet = Fleet::of(&world);
    let mut timeline = Timeline::new(&world, messages.clone());
    assert_growth(&world, &mut timeline, &conversations).await;
    assert_all_served(&world, &mut fleet, &mut timeline).await;
    assert_scale_to_zero(&world, &mut fleet, &mut timeline).await;
    report(&timeline.lines);

    for (conversation, message) in conversations.iter().zip(&messages) {
        assert_eq!(fleet.completions_of(message), 1, "{conversation}");
        let kept =
            fleet.latest_files(&af_domain::ids::ConversationId::parse(conversation.as_str()).unwrap()).await;
        assert_eq!(kept, format!("{message}\n"), "{conversation}");
    }
    for worker in world.backend.created().conversations.keys() {
        let row = world.app.store.stopped_worker(worker, world.app.now()).await.unwrap().unwrap();
        assert!(!row.snapshot_missed, "{worker}");
    }
}

/// One trigger grows the pool to its limit.
async fn assert_growth(world: &World, timeline: &mut Timeline<'_>, conversations: &[String]) {
    timeline.record("forty conversations are enqueued").await;
    world.tick().await;
    timeline.record("one trigger later").await;
    let took = timeline.millis();
    assert!((GROWTH_TIME..=GROWTH_TIME + SLACK).contains(&took), "it took {took} ms");
    assert_eq!(world.backend.machines_api().refused_for_rate(), 0);
    let made = world.backend.created();
    assert_eq!((made.machines.len(), made.conversations.len()), (MAX_WORKERS, MAX_WORKERS));
    let served: BTreeSet<_> = made.conversations.into_values().flatten().collect();
    assert_eq!(
        served,
        conversations[..MAX_WORKERS].iter().cloned().collect(),
        "the conversations that have waited longest, with one worker each"
    );
}

/// Workers whose conversations are quiet switch to the waiting conversations at once, because no worker can be added.
async fn assert_all_served(world: &World, fleet: &mut Fleet<'_>, timeline: &mut Timeline<'_>) {
    world.advance(Millis::from_secs(1));
    fleet.work().await;
    timeline.record("each worker has completed its messages").await;
    assert_eq!(timeline.waiting().await, 0);
    assert_eq!(world.backend.created().machines.len(), MAX_WORKERS, "no further machine");
}

/// The messages of each of fifty conversations in the test of a backlog, instead of 12.
const BACKLOG: &str = "POOL_BACKLOG";
/// The time that a worker of a paced fleet needs for a message.
const WORK: Millis = Millis::from_secs(1);

/// Serves all messages, one in a second on each worker, and returns how long that took.
async fn serve_all(world: &World, messages: Vec<MessageId>) -> Millis {
    let mut fleet = Fleet::of(world);
    fleet.is_paced = true;
    let mut timeline = Timeline::new(world, messages);
    world.tick().await;
    for second in 0..1_000 {
        world.advance(WORK);
        fleet.work().await;
        if second % 60 == 59 {
            world.tick().await;
        }
        if timeline.have_all_ended().await {
            return Millis::new(timeline.millis());
        }
    }
    panic!("messages still wait:\n{}", timeline.lines)
}

#[tokio::test]
async fn a_full_pool_of_two_serves_eight_conversations_without_waiting_for_quiet_times() {
    let world = World::with_policies(json!({"scaling": {"maxWorkers": 2}})).await;
    let mut messages = Vec::new();
    for n in 0..8 {
        messages.push(world.enqueue(&format!("conversation-{n}")).await);
    }
    let took = serve_all(&world, messages).await;
    assert!(took <= Millis::from_secs(15), "it took {took}");
}

#[tokio::test]
async fn a_backlog_of_many_conversations_drains_at_the_pace_of_a_full_pool() {
    let world = World::with_policies(json!({"scaling": {"maxWorkers": 8, "spawnStep": 8}})).await;
    let each = std::env::var(BACKLOG).map_or(12, |number| number.parse().unwrap());
    let mut messages = Vec::new();
    for n in 0..50 {
        for _ in 0..each {
            messages.push(world.enqueue(&format!("conversation-{n:02}")).await);
        }
    }
    let took = serve_all(&world, messages).await;
    report(&format!("{} messages on 8 workers took {took}", 50 * each));
    let least = 50 * each / 8;
    assert!(took <= Millis::from_secs(least * 5 / 4), "it took {took}; without any pause it takes {least} s");
}

/// No user sends a message any more.
async fn assert_scale_to_zero(world: &World, fleet: &mut Fleet<'_>, timeline: &mut Timeline<'_>) {
    let idle = Policies::default().scaling.idle_timeout;
    let began = timeline.millis();
    for _ in 0..MAX_ROUNDS {
        // An idle worker sends a sign of life once a minute and stays active.
        let left = idle.as_millis().saturating_sub(timeline.millis() - began);
        world.advance(if left > 0 { TICK.min(Millis::new(left)) } else { TICK });
        world.tick().await;
        fleet.work().await;
        if world.workers().await.len() < MAX_WORKERS {
            timeline.record("").await;
        }
        if world.workers().await.is_empty() {
            let took = timeline.millis() - began;
            assert!(took >= idle.as_millis(), "a worker ended before {idle}: {took} ms");
            assert!(took <= idle.as_millis() + TEARDOWN_TIME.as_millis(), "it took {took} ms");
            return world.assert_empty().await;
        }
    }
    panic!("workers are left after {MAX_ROUNDS} rounds:\n{}", timeline.lines);
}

/// The time limit of the reconcile function.
const FUNCTION_LIMIT: Millis = Millis::from_secs(60);

#[tokio::test]
async fn a_run_that_reaches_its_time_limit_leaves_the_rest_to_the_next_run() {
    let world = World::with_policies(json!({"scaling": {"maxWorkers": 100, "spawnStep": 100}})).await;
    for n in 0..60 {
        world.enqueue(&format!("conversation-{n:02}")).await;
    }
    let began = world.app.now();
    let report = world.tick().await;
    let took = world.app.now().since(began);
    assert!(took < FUNCTION_LIMIT, "{took}");
    let left = report.actions.iter().filter(|a| a.outcome.starts_with("waiting: the next run")).count();
    let made = world.backend.created().machines.len();
    assert_eq!(
        (made + left, report.actions.len()),
        (60, 60),
        "each spawn is done or left, and none has failed"
    );
    world.advance(TICK);
    world.tick().await;
    world.assert_exclusive().await;
    let created = world.backend.created();
    let served: BTreeSet<_> = created.conversations.values().flatten().collect();
    assert_eq!((created.machines.len(), served.len()), (60, 60));
    crate::report(&format!(
        "60 machines wanted at once: {made} in the first {took}, the rest in the next run"
    ));
}
