//! The costs of push jobs. A run of the dispatcher reads the jobs that are due, however many are stored.

use af_app::push::jobs;
use af_app::push::run_due::run_due;
use af_app::push::trigger::trigger;
use af_domain::push::{Day, PushJob, Slot};
use af_tests::push;
use serde_json::json;
use std::time::Duration;

use crate::bulk;
use crate::figures::{Row, at_most};
use crate::world::World;

/// Numbers of users of this file, which no other test has.
const FIRST_USER: usize = 10_000;
/// Due jobs of one run.
const DUE: usize = 10;
const LONG: Duration = Duration::from_secs(600);

/// Measures in a deployment with `stored` push jobs whose slots come later.
pub async fn rows(world: &World, stored: usize) -> Vec<Row> {
    store_later_jobs(world, stored).await;
    let (nothing, idle) = world.measure(run_due(&world.app, LONG)).await;
    assert_eq!(nothing.unwrap().enqueued, 0);
    let one = [due_job(world, 0).await];
    let (ran, one_due) = world.measure(run_due(&world.app, LONG)).await;
    assert_eq!(ran.unwrap().enqueued, 1);
    for n in 1..=DUE {
        due_job(world, n).await;
    }
    let (ran, ten_due) = world.measure(run_due(&world.app, LONG)).await;
    assert_eq!(ran.unwrap().enqueued, DUE as u64);
    let (triggered, by_hand) = world.measure(trigger(&world.app, &push::place(&one[0]), None)).await;
    triggered.unwrap();
    let (listed, list) = world.measure(jobs::list(&world.app, &one[0].user, &one[0].agent, 50, None)).await;
    assert_eq!(listed.unwrap().len(), 1);
    let (stats, figures) = world.measure(jobs::stats(&world.app, &one[0].user, &one[0].agent)).await;
    assert_eq!(stats.unwrap().total_dispatches, 2);
    world.clear().await;
    vec![
        Row::new("push-dispatch, nothing due", idle, at_most(2, 1).reads(1.0)),
        Row::new("… 1 job due", one_due, at_most(5, 4).writes(14).reads(3.0)),
        Row::new("… 10 jobs due", ten_due, at_most(14, 4).writes(140).reads(21.0)),
        Row::new("trigger a push job", by_hand, at_most(3, 3).writes(12).reads(2.0)),
        Row::new("push jobs of a user, a page of 1", list, at_most(1, 1).reads(1.0)),
        Row::new("figures of a user's push jobs", figures, at_most(1, 1).reads(1.0)),
    ]
}

/// A job of a user whose conversation exists, and whose slot is now.
async fn due_job(world: &World, n: usize) -> PushJob {
    let (app, n) = (&world.app, FIRST_USER + n);
    let binding = push::bind(app, &world.agent, n).await;
    world.enqueue(world.message(&binding.conversation)).await;
    let mut job = push::job(&world.agent, n, "daily 09:30", app.now());
    job.next = Some(Slot { at: app.now(), day: Day::parse("2026-01-01").unwrap() });
    push::store(app, &job).await;
    job
}

/// Stores copies of a job whose slot comes in many days.
async fn store_later_jobs(world: &World, count: usize) {
    let mut job = push::job(&world.agent, FIRST_USER - 1, "daily 09:30", world.app.now());
    let later = Day::parse("2027-06-01").unwrap();
    job.next = Some(Slot { at: world.app.now() + af_domain::time::Millis::from_days(500), day: later });
    push::store(&world.app, &job).await;
    let partition = bulk::partition(world, format!("U#{}", job.user)).await;
    let item = partition.into_iter().find(|item| !item["sc"].is_null()).unwrap();
    let copies = (0..count).map(move |n| {
        let mut copy = item.clone();
        copy["pk"] = json!({"S": format!("U#later-{n}")});
        copy["u"] = json!({"S": format!("later-{n}")});
        copy
    });
    bulk::write(world, copies, false).await;
}
