//! Broadcasts with many dispatchers and crashes: each target gets one message.

use af_app::App;
use af_app::agents::profiles::configure;
use af_app::push::broadcasts::{self, NewBroadcast};
use af_app::push::run_due::run_due;
use af_domain::ids::{AgentKey, BroadcastId};
use af_domain::push::{Broadcast, BroadcastCounts, BroadcastStatus};
use af_domain::time::Millis;
use af_emulator_aws::{Fault, Faults, WireRequest};
use af_store::conversation_key;
use af_tests::push;
use af_tests::world::agent_settings;
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::push::{LONG, Unreliable, agent, messages, run};
use crate::world::World;

/// Bound users of the agent: two pages and a half of targets.
const USERS: usize = 250;
/// Bound users of a large broadcast. `AF_TEST_PUSH_TARGETS=10000` tests with more of them.
const MANY_USERS: usize = 1_000;
/// Push jobs that are due while a large broadcast runs.
const JOBS: usize = 20;
/// Longer than other dispatchers leave a broadcast alone.
const HELD: Millis = Millis::from_secs(61);

async fn world_with_users(users: usize) -> World {
    let world = World::new().await;
    for n in 0..users {
        push::bind(&world.app, &agent(), n).await;
    }
    world
}

async fn send(world: &World) -> BroadcastId {
    let new = NewBroadcast {
        company: None,
        title: "News".into(),
        text: "We have moved.".into(),
        requested_by: "op".into(),
    };
    broadcasts::send(&world.app, new, None).await.unwrap().id
}

async fn current(world: &World, id: &BroadcastId) -> Broadcast {
    broadcasts::get(&world.app, id).await.unwrap()
}

#[tokio::test]
async fn each_target_gets_one_message_with_eight_dispatchers_that_crash() {
    let world = world_with_users(USERS).await;
    let id = send(&world).await;
    for round in 0..6 {
        let apps: Vec<App> =
            (0..8).map(|n| world.with_faults(Unreliable::seeded(round * 8 + n, 30 + 20 * n))).collect();
        join_all(apps.iter().map(|app| run_due(app, LONG))).await;
        world.bundle.clock.advance(HELD);
    }
    run(&world.app).await;
    let done = current(&world, &id).await;
    let all = USERS as u64;
    assert_eq!(done.counts, BroadcastCounts { targets: all, enqueued: all, failed: 0 });
    assert_eq!((done.status, done.completed_at.is_some()), (BroadcastStatus::Done, true));
    for n in 0..USERS {
        assert_eq!(messages(&world, n).await, 1, "user {n}");
    }
    let now = world.app.now();
    let records = world.app.store.push_dispatches_of(id.as_str(), now, 1_000, None).await.unwrap();
    assert_eq!(records.items.len(), USERS);
}

#[tokio::test]
async fn jobs_run_while_a_broadcast_runs() {
    let world = world_with_users(USERS).await;
    let job = push::job(&agent(), 7, "daily 09:30", world.app.now());
    push::store(&world.app, &job).await;
    world.bundle.clock.advance(Millis::from_days(1));
    send(&world).await;
    let done = run(&world.app).await;
    assert_eq!((done.enqueued, done.targets), (1, USERS as u64));
    assert_eq!(messages(&world, 7).await, 2);
}

/// Counts the transactions and lets the test know when there were enough of them.
struct Counting {
    transactions: AtomicU64,
    limit: u64,
    reached: tokio::sync::Notify,
    /// Whether the dispatcher crashes then.
    crashes: bool,
}

impl Counting {
    fn until(limit: u64, crashes: bool) -> Arc<Self> {
        Arc::new(Self {
            transactions: AtomicU64::new(0),
            limit,
            reached: tokio::sync::Notify::new(),
            crashes,
        })
    }
}

impl Faults for Counting {
    fn before(&self, request: &WireRequest) -> Fault {
        let is_one = request.operation == "TransactWriteItems";
        let before = self.transactions.fetch_add(u64::from(is_one), Ordering::Relaxed);
        if is_one && before + 1 == self.limit {
            self.reached.notify_one();
        }
        if self.crashes && before >= self.limit { Fault::LoseRequest } else { Fault::None }
    }
}

#[tokio::test]
async fn a_large_broadcast_goes_on_after_a_crash_half_way_while_jobs_run() {
    let users = std::env::var("AF_TEST_PUSH_TARGETS").map_or(MANY_USERS, |n| n.parse().unwrap());
    let world = world_with_users(users).await;
    for n in 0..JOBS {
        push::store(&world.app, &push::job(&agent(), n, "daily 09:30", world.app.now())).await;
    }
    world.bundle.clock.advance(Millis::from_days(1));
    let (id, all) = (send(&world).await, users as u64);
    let crashed = run_due(&world.with_faults(Counting::until(all / 2, true)), LONG).await;
    assert!(crashed.is_err() || crashed.unwrap().errors > 0);
    let half = current(&world, &id).await;
    assert_eq!(half.status, BroadcastStatus::Running);
    assert!((1..all).contains(&half.counts.targets), "{half:?}");
    world.bundle.clock.advance(HELD);
    run(&world.app).await;
    let done = current(&world, &id).await;
    let counts = BroadcastCounts { targets: all, enqueued: all, failed: 0 };
    assert_eq!((done.status, done.counts), (BroadcastStatus::Done, counts));
    for n in 0..users {
        assert_eq!(messages(&world, n).await, if n < JOBS { 2 } else { 1 }, "user {n}");
    }
}

#[tokio::test]
async fn a_broadcast_that_is_cancelled_stops_after_its_page_and_says_so() {
    let world = world_with_users(USERS).await;
    let id = send(&world).await;
    let faults = Counting::until(20, false);
    let app = world.with_faults(faults.clone());
    let cancel = async {
        faults.reached.notified().await;
        broadcasts::cancel(&world.app, &id).await.unwrap()
    };
    let (ran, cancelled) = tokio::join!(run_due(&app, LONG), cancel);
    ran.unwrap();
    assert_eq!(cancelled.status, BroadcastStatus::Cancelled);
    assert_eq!(broadcasts::cancel(&world.app, &id).await.unwrap().status, BroadcastStatus::Cancelled);
    world.bundle.clock.advance(HELD);
    run(&world.app).await;
    let stopped = current(&world, &id).await;
    assert_eq!(stopped.status, BroadcastStatus::Cancelled);
    assert!(stopped.completed_at.is_some());
    let mut sent = 0;
    for n in 0..USERS {
        sent += messages(&world, n).await;
    }
    assert!((20..USERS).contains(&sent), "{sent} messages");
    assert_eq!(stopped.counts.enqueued, sent as u64, "the figures are those of the messages");
}

#[tokio::test]
async fn agents_without_users_get_the_broadcast_and_disabled_ones_do_not() {
    let world = world_with_users(2).await;
    let [alone, disabled] = ["alone", "disabled"].map(|key| AgentKey::parse(key).unwrap());
    configure(&world.app, &alone, agent_settings()).await.unwrap();
    let mut settings = agent_settings();
    settings.enabled = false;
    configure(&world.app, &disabled, settings).await.unwrap();
    push::bind(&world.app, &disabled, 3).await;
    let id = send(&world).await;
    run(&world.app).await;
    let counts = BroadcastCounts { targets: 3, enqueued: 3, failed: 0 };
    assert_eq!(current(&world, &id).await.counts, counts);
    let conversation = af_domain::push::conversation_without_user(&alone).unwrap();
    let ids = world.app.store.message_ids_of(&conversation_key(&conversation), 10, None).await.unwrap().items;
    let [id] = &ids[..] else { panic!("{ids:?}") };
    let message = world.app.store.message(id, world.app.now(), true).await.unwrap().unwrap();
    assert_eq!(message.payload.message_text, "News\n\nWe have moved.");
    assert_eq!(message.payload.provider, "system_push");
}

#[tokio::test]
async fn a_broadcast_without_a_possible_message_has_failed() {
    let world = world_with_users(1).await;
    let policies = serde_json::json!({"queue": {"maxPendingPerConversation": 1}});
    af_app::settings::policies::set(&world.app, serde_json::from_value(policies).unwrap()).await.unwrap();
    let conversation = af_domain::agent::conversation_of(&agent(), &push::user(0)).unwrap();
    world.enqueue(&conversation, None).await;
    let id = send(&world).await;
    run(&world.app).await;
    let failed = current(&world, &id).await;
    assert_eq!(failed.status, BroadcastStatus::Failed);
    assert_eq!(failed.counts, BroadcastCounts { targets: 1, enqueued: 0, failed: 1 });
}

#[tokio::test]
async fn a_malformed_conversation_fails_its_target_and_not_the_broadcast() {
    let world = world_with_users(3).await;
    let conversation = af_domain::agent::conversation_of(&agent(), &push::user(1)).unwrap();
    world.enqueue(&conversation, None).await;
    let key = af_store::keys::conversation(&conversation_key(&conversation));
    world.set(key, "ag", serde_json::json!({"S": "no agent key"})).await;
    let id = send(&world).await;
    run(&world.app).await;
    let done = current(&world, &id).await;
    assert_eq!(done.status, BroadcastStatus::Done);
    assert_eq!(done.counts, BroadcastCounts { targets: 3, enqueued: 2, failed: 1 });
}
