//! A day of the pool in virtual time: a crowd comes, is served, and goes.

use std::collections::BTreeSet;
use std::fmt::Write;

use af_domain::ids::MessageId;
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::time::Millis;
use af_runtime::clock::Clock;
use serde_json::json;

use crate::crew::Crew;
use crate::report;
use crate::world::{TICK, World};

const TALKS: usize = 40;
const MAX_WORKERS: usize = 25;
/// What the provider needs for 25 machines: three at once, then one a second.
const GROWN_AFTER: u64 = (MAX_WORKERS as u64 - 3) * 1_000;
/// What is granted beyond that: the first volumes come before the first machines.
const SLACK: u64 = 5_000;
/// What 25 machines need to stop and to be removed, with a tick a minute.
const GONE_WITHIN: Millis = Millis::from_secs(600);
/// Rounds of workers and ticks until all are served, and until all are gone.
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
            waiting += usize::from(self.world.end_of(message).await.0 == MessageStatus::Queued);
        }
        waiting
    }

    /// Writes down how it stands, and what must hold at any time.
    async fn look(&mut self, what: &str) {
        self.world.holds().await;
        self.world.nothing_is_lost().await;
        let (machines, rows) = (self.world.stand.machines().await.len(), self.world.workers().await.len());
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
async fn a_crowd_comes_is_served_and_goes() {
    let world = World::with_policies(json!({"scaling": {"maxWorkers": MAX_WORKERS, "spawnStep": 3}})).await;
    let talks: Vec<String> = (0..TALKS).map(|n| format!("talk-{n:02}")).collect();
    let mut messages = Vec::new();
    for talk in &talks {
        messages.push(world.enqueue(talk).await);
        world.pass(Millis::new(1));
    }
    let mut crew = Crew::of(&world);
    let mut timeline = Timeline::new(&world, messages.clone());
    grows(&world, &mut timeline, &talks).await;
    serves(&world, &mut crew, &mut timeline).await;
    goes(&world, &mut crew, &mut timeline).await;
    report(&timeline.lines);

    for (talk, message) in talks.iter().zip(&messages) {
        assert_eq!(crew.answers_to(message), 1, "{talk}");
        let kept = crew.kept(&af_domain::ids::ConversationId::parse(talk.as_str()).unwrap()).await;
        assert_eq!(kept, format!("{message}\n"), "{talk}");
    }
    for worker in world.stand.ever().conversations.keys() {
        let row = world.app.store.stopped_worker(worker, world.app.now()).await.unwrap().unwrap();
        assert!(!row.snapshot_missed, "{worker}");
    }
}

/// One trigger makes the pool as large as it may be.
async fn grows(world: &World, timeline: &mut Timeline<'_>, talks: &[String]) {
    timeline.look("forty conversations have come").await;
    world.tick().await;
    timeline.look("one trigger later").await;
    let took = timeline.millis();
    assert!((GROWN_AFTER..=GROWN_AFTER + SLACK).contains(&took), "it took {took} ms");
    assert_eq!(world.stand.machines_api().refused_for_rate(), 0);
    let made = world.stand.ever();
    assert_eq!((made.machines.len(), made.conversations.len()), (MAX_WORKERS, MAX_WORKERS));
    let served: BTreeSet<_> = made.conversations.into_values().flatten().collect();
    assert_eq!(
        served,
        talks[..MAX_WORKERS].iter().cloned().collect(),
        "those that wait longest, one worker each"
    );
}

/// Workers whose conversations are quiet take those that wait.
async fn serves(world: &World, crew: &mut Crew<'_>, timeline: &mut Timeline<'_>) {
    let quiet = Policies::default().scaling.switch_after_quiet;
    let began = timeline.millis();
    world.pass(Millis::from_secs(1));
    crew.work().await;
    timeline.look("every worker has answered its own").await;
    assert_eq!(timeline.waiting().await, TALKS - MAX_WORKERS);
    for _ in 0..MAX_ROUNDS {
        world.tick().await;
        crew.work().await;
        timeline.look("").await;
        if timeline.waiting().await == 0 {
            let took = timeline.millis() - began;
            assert!(took >= quiet.as_millis(), "nobody lets go before {quiet}: {took} ms");
            assert!(took <= 3 * (quiet.as_millis() + TICK.as_millis()), "it took {took} ms");
            return assert_eq!(world.stand.ever().machines.len(), MAX_WORKERS, "no machine more");
        }
        world.pass(Millis::from_secs(20));
    }
    panic!("not served after {MAX_ROUNDS} rounds:\n{}", timeline.lines);
}

/// Nobody talks any more.
async fn goes(world: &World, crew: &mut Crew<'_>, timeline: &mut Timeline<'_>) {
    let idle = Policies::default().scaling.idle_timeout;
    let began = timeline.millis();
    for _ in 0..MAX_ROUNDS {
        // A worker that nobody needs says so once a minute, and stays.
        let left = idle.as_millis().saturating_sub(timeline.millis() - began);
        world.pass(if left > 0 { TICK.min(Millis::new(left)) } else { TICK });
        world.tick().await;
        crew.work().await;
        if world.workers().await.len() < MAX_WORKERS {
            timeline.look("").await;
        }
        if world.workers().await.is_empty() {
            let took = timeline.millis() - began;
            assert!(took >= idle.as_millis(), "nobody goes before {idle}: {took} ms");
            assert!(took <= idle.as_millis() + GONE_WITHIN.as_millis(), "it took {took} ms");
            return world.leaves_nothing().await;
        }
    }
    panic!("not gone after {MAX_ROUNDS} rounds:\n{}", timeline.lines);
}

/// What a function of reconcile may take.
const FUNCTION_LIMIT: Millis = Millis::from_secs(60);

#[tokio::test]
async fn a_run_that_has_more_to_do_than_time_leaves_the_rest_to_the_next() {
    let world = World::with_policies(json!({"scaling": {"maxWorkers": 100, "spawnStep": 100}})).await;
    for n in 0..60 {
        world.enqueue(&format!("talk-{n:02}")).await;
    }
    let began = world.app.now();
    let report = world.tick().await;
    let took = world.app.now().since(began);
    assert!(took < FUNCTION_LIMIT, "{took}");
    let left = report.actions.iter().filter(|a| a.outcome.starts_with("waiting: the next run")).count();
    let made = world.stand.ever().machines.len();
    assert_eq!(
        (made + left, report.actions.len()),
        (60, 60),
        "every one is done or left, and none has failed"
    );
    world.pass(TICK);
    world.tick().await;
    world.holds().await;
    let ever = world.stand.ever();
    let served: BTreeSet<_> = ever.conversations.values().flatten().collect();
    assert_eq!((ever.machines.len(), served.len()), (60, 60));
    crate::report(&format!(
        "60 machines wanted at once: {made} in the first {took}, the rest in the next run"
    ));
}
