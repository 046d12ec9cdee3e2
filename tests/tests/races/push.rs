//! Push jobs that many dispatchers find due at the same time, with lost requests, lost responses and crashes: each slot is
//! dispatched once, and no slot is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use af_app::App;
use af_app::push::jobs::{self, JobChange};
use af_app::push::run_due::{Summary, run_due};
use af_app::push::trigger::trigger;
use af_app::settings::policies::set;
use af_domain::ids::{AgentKey, RunKey};
use af_domain::push::{Dispatch, DispatchStatus, PushJob};
use af_domain::time::{Millis, Timestamp};
use af_emulator_aws::{Fault, Faults, WireRequest};
use af_store::conversation_key;
use af_tests::push::{self, place, slot};
use af_tests::world::agent_settings;
use futures::future::join_all;
use serde_json::json;

use crate::world::{AGENT, World};

/// Dispatchers at the same time.
const DISPATCHERS: u64 = 8;
/// Due jobs. `AF_TEST_PUSH_JOBS=5000` tests with more of them.
const JOBS: usize = 500;
/// Longer than any test.
pub const LONG: Duration = Duration::from_secs(3_600);
const DAY: Millis = Millis::from_days(1);

pub fn agent() -> AgentKey {
    AgentKey::parse(AGENT).unwrap()
}

/// Loses requests and responses in a fixed pattern. After some requests the function has crashed: no further request is
/// carried out.
pub struct Unreliable {
    requests: AtomicU64,
    seed: u64,
    crashes_after: u64,
}

impl Unreliable {
    pub fn seeded(seed: u64, crashes_after: u64) -> Arc<Self> {
        Arc::new(Self { requests: AtomicU64::new(0), seed, crashes_after })
    }
}

impl Faults for Unreliable {
    fn before(&self, _: &WireRequest) -> Fault {
        let n = self.requests.fetch_add(1, Ordering::Relaxed);
        if n >= self.crashes_after {
            return Fault::LoseRequest;
        }
        // A mix of the number, so that neighbours differ.
        match (n + self.seed * 7_919).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60 {
            0 => Fault::LoseRequest,
            1 | 2 => Fault::LoseResponse,
            3 => Fault::Duplicate,
            _ => Fault::None,
        }
    }
}

pub async fn run(app: &App) -> Summary {
    run_due(app, LONG).await.unwrap()
}

async fn dispatches(world: &World, job: &PushJob) -> Vec<Dispatch> {
    let (store, now) = (&world.app.store, world.app.now());
    store.push_dispatches_of(job.id.as_str(), now, 1_000, None).await.unwrap().items
}

/// The number of messages in the conversation of user number `n`.
pub async fn messages(world: &World, n: usize) -> usize {
    let conversation = af_domain::agent::conversation_of(&agent(), &push::user(n)).unwrap();
    let key = conversation_key(&conversation);
    world.app.store.message_ids_of(&key, 100, None).await.unwrap().items.len()
}

/// A user with a job that runs daily at 09:30.
async fn user_with_job(world: &World, n: usize) -> PushJob {
    push::bind(&world.app, &agent(), n).await;
    let job = push::job(&agent(), n, "daily 09:30", world.app.now());
    push::store(&world.app, &job).await;
    job
}

async fn current(world: &World, job: &PushJob) -> PushJob {
    world.app.store.push_job(&place(job)).await.unwrap().unwrap()
}

#[tokio::test]
async fn eight_dispatchers_with_crashes_dispatch_each_slot_once() {
    let world = World::new().await;
    let jobs_wanted = std::env::var("AF_TEST_PUSH_JOBS").map_or(JOBS, |n| n.parse().unwrap());
    let mut jobs = Vec::new();
    for n in 0..jobs_wanted {
        jobs.push(user_with_job(&world, n).await);
    }
    world.bundle.clock.advance(slot(&jobs[0]).at.since(world.app.now()));
    for round in 0..3 {
        let apps: Vec<App> = (0..DISPATCHERS)
            .map(|n| world.with_faults(Unreliable::seeded(round * DISPATCHERS + n, 60 + 40 * n)))
            .collect();
        // A run ends with an error when the read of a page fails. Another one goes on.
        join_all(apps.iter().map(|app| run_due(app, LONG))).await;
    }
    let rest = run(&world.app).await;
    assert_eq!(rest.errors, 0);
    assert_eq!(run(&world.app).await, Summary::default(), "nothing is due any more");
    for (n, before) in jobs.iter().enumerate() {
        let (after, records) = (current(&world, before).await, dispatches(&world, before).await);
        let [record] = &records[..] else { panic!("{n}: {records:?}") };
        assert_eq!(record.status, DispatchStatus::Enqueued);
        assert_eq!(record.run_key, RunKey::scheduled(&before.id, slot(before).at));
        assert_eq!(slot(&after).at, slot(before).at + DAY);
        assert_eq!(after.last.unwrap().key, record.run_key);
        assert_eq!(messages(&world, n).await, 1, "user {n}");
        let stats = jobs::stats(&world.app, &before.user, &before.agent).await.unwrap();
        assert_eq!((stats.total_jobs, stats.active_jobs, stats.total_dispatches), (1, 1, 1));
    }
}

#[tokio::test]
async fn after_three_days_without_a_dispatcher_one_message_is_sent_and_two_slots_are_skipped() {
    let world = World::new().await;
    let job = user_with_job(&world, 1).await;
    world.bundle.clock.advance(Millis::from_days(3));
    let apps: Vec<App> = (0..DISPATCHERS).map(|_| world.bundle.restricted_app("push-dispatch")).collect();
    let summaries = join_all(apps.iter().map(run)).await;
    assert_eq!(summaries.iter().map(|summary| summary.enqueued).sum::<u64>(), 1);
    let records = dispatches(&world, &job).await;
    let statuses: Vec<_> = records.iter().map(|record| record.status.as_str()).collect();
    assert_eq!(statuses, ["enqueued", "skipped", "skipped"], "the newest first");
    assert_eq!(messages(&world, 1).await, 1);
    assert!(slot(&current(&world, &job).await).at > world.app.now());
}

#[tokio::test]
async fn a_year_without_a_dispatcher_is_recorded_in_full() {
    let world = World::new().await;
    let job = user_with_job(&world, 1).await;
    set(
        &world.app,
        serde_json::from_value(json!({"retention": {"dispatchMs": 86_400_000_u64 * 1_000}})).unwrap(),
    )
    .await
    .unwrap();
    world.bundle.clock.advance(Millis::from_days(365));
    let mut skipped = 0;
    for _ in 0..4 {
        skipped += run(&world.app).await.skipped;
    }
    assert_eq!(skipped, 364);
    assert_eq!(dispatches(&world, &job).await.len(), 365);
    assert_eq!(messages(&world, 1).await, 1);
}

#[tokio::test]
async fn a_job_runs_at_its_time_and_not_before() {
    let world = World::new().await;
    let job = user_with_job(&world, 1).await;
    let half_past_nine = slot(&job).at;
    world.bundle.clock.advance(Millis::new(half_past_nine.since(world.app.now()).as_millis() - 1));
    assert_eq!(run(&world.app).await.enqueued, 0);
    world.bundle.clock.advance(Millis::new(1));
    assert_eq!(run(&world.app).await.enqueued, 1);
    let [record] = &dispatches(&world, &job).await[..] else { panic!() };
    assert_eq!((record.scheduled_for, record.created_at), (half_past_nine, half_past_nine));
    let message = record.message.as_ref().unwrap();
    let message = world.app.store.message(message, world.app.now(), true).await.unwrap().unwrap();
    assert_eq!(message.payload.message_text, job.text);
    let said = |name: &str| message.payload.metadata.get(name).cloned().unwrap_or_default();
    assert_eq!(said("pushJobId"), job.id.as_str());
    assert_eq!(said("runKey"), record.run_key.as_str());
    assert_eq!((said("pushMode").as_str(), message.payload.provider.as_str()), ("scheduled", "system_push"));
}

#[tokio::test]
async fn a_user_without_a_binding_and_a_disabled_agent_fail_and_their_jobs_go_on() {
    let world = World::new().await;
    let unbound = push::job(&agent(), 1, "daily 09:30", world.app.now());
    push::store(&world.app, &unbound).await;
    let bound = user_with_job(&world, 2).await;
    let other = AgentKey::parse("other").unwrap();
    push::bind(&world.app, &other, 3).await;
    let elsewhere = push::job(&agent(), 3, "daily 09:30", world.app.now());
    push::store(&world.app, &elsewhere).await;
    let mut disabled = agent_settings();
    disabled.enabled = false;
    af_app::agents::profiles::configure(&world.app, &agent(), disabled).await.unwrap();
    world.bundle.clock.advance(DAY);
    assert_eq!(run(&world.app).await, Summary { failed: 3, ..Summary::default() });
    for (job, reason) in
        [(&unbound, "no active binding"), (&bound, "disabled"), (&elsewhere, "bound to agent other")]
    {
        let [record] = &dispatches(&world, job).await[..] else { panic!("{reason}") };
        assert_eq!(record.status, DispatchStatus::Failed);
        assert!(record.error.as_ref().unwrap().contains(reason), "{record:?}");
        assert_eq!(slot(&current(&world, job).await).at, slot(job).at + DAY);
    }
}

#[tokio::test]
async fn a_full_queue_fails_the_slot() {
    let world = World::new().await;
    let job = user_with_job(&world, 1).await;
    set(&world.app, serde_json::from_value(json!({"queue": {"maxPendingPerConversation": 1}})).unwrap())
        .await
        .unwrap();
    let conversation = af_domain::agent::conversation_of(&agent(), &push::user(1)).unwrap();
    world.enqueue(&conversation, None).await;
    world.bundle.clock.advance(DAY);
    assert_eq!(run(&world.app).await, Summary { failed: 1, ..Summary::default() });
    let [record] = &dispatches(&world, &job).await[..] else { panic!() };
    assert!(record.error.as_ref().unwrap().contains("already wait"), "{record:?}");
}

/// Changes an attribute of a job behind the back of the store.
async fn spoil(world: &World, job: &PushJob, attribute: &str, value: &str) {
    let key = af_store::keys::push_job(&job.user, &job.agent, &job.id);
    world.set(key, attribute, json!({"S": value})).await;
}

#[tokio::test]
async fn a_job_whose_next_run_cannot_be_computed_runs_once_and_stays_enabled() {
    let world = World::new().await;
    let job = user_with_job(&world, 1).await;
    spoil(&world, &job, "tz", "Mars/Olympus").await;
    world.bundle.clock.advance(DAY);
    assert_eq!(run(&world.app).await, Summary { enqueued: 1, ..Summary::default() });
    world.bundle.clock.advance(DAY);
    assert_eq!(run(&world.app).await, Summary::default());
    let kept = current(&world, &job).await;
    assert_eq!((kept.enabled, kept.next), (true, job.next), "it keeps its last slot");
    // The user sets a zone that exists.
    let change = JobChange { timezone: Some("Europe/Rome".into()), ..JobChange::default() };
    let repaired = jobs::change(&world.app, &place(&job), &change).await.unwrap();
    world.bundle.clock.advance(slot(&repaired).at.since(world.app.now()));
    assert_eq!(run(&world.app).await, Summary { enqueued: 1, ..Summary::default() });
    assert_eq!(messages(&world, 1).await, 2);
}

#[tokio::test]
async fn a_malformed_job_does_not_stop_the_others_and_is_not_disabled() {
    let world = World::new().await;
    let (malformed, fine) = (user_with_job(&world, 1).await, user_with_job(&world, 2).await);
    spoil(&world, &malformed, "sc", "every 5 minutes").await;
    world.bundle.clock.advance(DAY);
    assert_eq!(run(&world.app).await, Summary { enqueued: 1, ..Summary::default() });
    assert_eq!(messages(&world, 2).await, 1);
    spoil(&world, &malformed, "sc", "daily 09:30").await;
    world.bundle.clock.advance(Millis::from_secs(3_600));
    assert_eq!(run(&world.app).await, Summary { enqueued: 1, ..Summary::default() });
    assert_eq!((messages(&world, 1).await, messages(&world, 2).await), (1, 1));
    assert_eq!(dispatches(&world, &fine).await.len(), 1);
}

#[tokio::test]
async fn simultaneous_triggers_are_two_runs_and_move_no_schedule() {
    let world = World::new().await;
    let job = user_with_job(&world, 1).await;
    let place = place(&job);
    let (one, other) = tokio::join!(trigger(&world.app, &place, None), trigger(&world.app, &place, None));
    assert_ne!(one.unwrap().run_key, other.unwrap().run_key);
    let after = current(&world, &job).await;
    assert_eq!((after.next, messages(&world, 1).await), (job.next, 2));
    world.bundle.clock.advance(DAY);
    assert_eq!(run(&world.app).await.enqueued, 1, "the slot runs as well");
    assert_eq!(messages(&world, 1).await, 3);
}

#[tokio::test]
async fn a_slot_that_has_come_is_recorded_when_a_caller_changes_or_deletes_its_job() {
    let world = World::new().await;
    let (changed, deleted, renamed) =
        (user_with_job(&world, 1).await, user_with_job(&world, 2).await, user_with_job(&world, 3).await);
    world.bundle.clock.advance(Millis::from_days(2));
    let disabled = JobChange { enabled: Some(false), ..JobChange::default() };
    jobs::change(&world.app, &place(&changed), &disabled).await.unwrap();
    jobs::delete(&world.app, &place(&deleted)).await.unwrap();
    let title = JobChange { title: Some("Evening".into()), ..JobChange::default() };
    jobs::change(&world.app, &place(&renamed), &title).await.unwrap();
    assert_eq!(run(&world.app).await, Summary { enqueued: 1, skipped: 1, ..Summary::default() });
    for job in [&changed, &deleted] {
        let [later, first] = &dispatches(&world, job).await[..] else { panic!("two slots have come") };
        for (record, at) in [(first, slot(job).at), (later, slot(job).at + DAY)] {
            assert_eq!((record.scheduled_for, record.status), (at, DispatchStatus::Skipped));
            assert!(record.error.as_ref().unwrap().contains("changed or deleted"), "{record:?}");
        }
    }
    assert_eq!((messages(&world, 1).await, messages(&world, 2).await), (0, 0));
    assert_eq!(messages(&world, 3).await, 1, "a change of the title moves no slot");
}

#[tokio::test]
async fn a_job_that_is_changed_or_deleted_while_it_is_dispatched_runs_at_most_once() {
    let world = World::new().await;
    let (changed, deleted) = (user_with_job(&world, 1).await, user_with_job(&world, 2).await);
    world.bundle.clock.advance(slot(&changed).at.since(world.app.now()));
    let later =
        JobChange { schedule: af_domain::push::Schedule::parse("daily 18:00"), ..JobChange::default() };
    let (changed_at, deleted_at) = (place(&changed), place(&deleted));
    let (_, change, delete) = tokio::join!(
        run(&world.app),
        jobs::change(&world.app, &changed_at, &later),
        jobs::delete(&world.app, &deleted_at)
    );
    let (change, ()) = (change.unwrap(), delete.unwrap());
    let six = Timestamp::from_millis(slot(&changed).at.as_millis() + 8 * 3_600_000 + 1_800_000);
    assert_eq!(slot(&change).at, six);
    run(&world.app).await;
    assert!(messages(&world, 1).await <= 1 && messages(&world, 2).await <= 1);
    assert_eq!(world.app.store.push_job(&deleted_at).await.unwrap(), None);
}
