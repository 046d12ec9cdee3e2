//! A run of the dispatcher: every due push job, and the running broadcasts.

use std::collections::HashMap;
use std::time::Duration;

use af_domain::agent::Binding;
use af_domain::ids::ConsumerUserId;
use af_domain::time::Timestamp;
use af_runtime::metric::Metric;
use af_store::push::DueJob;
use futures::StreamExt;

use super::deadline::Deadline;
use super::dispatch_job::{JobOutcome, LOOK_AGAIN, dispatch};
use super::fan_out::fan_out;
use crate::{App, Result};

/// How long a scheduled run begins new work. The function has a minute more, so that the work that runs can end. The next
/// scheduled run goes on with the rest.
pub const SCHEDULE_RUNS_FOR: Duration = Duration::from_secs(240);
/// Jobs of one page. Their items and bindings are one batch read each, which DynamoDB limits to 100 keys.
const PAGE: i32 = 100;
/// Jobs that are dispatched at the same time. Each waits for DynamoDB most of its time.
const MAX_AT_ONCE: usize = 16;
/// Broadcasts of one run. Each of them sends to several targets at the same time.
const MAX_BROADCASTS: i32 = 4;

/// The result of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages of jobs that were enqueued.
    pub enqueued: u64,
    /// Slots that have failed.
    pub failed: u64,
    /// Slots that were missed.
    pub skipped: u64,
    /// Jobs and broadcasts with an error. The next run tries them again.
    pub errors: u64,
    /// Targets of broadcasts.
    pub targets: u64,
    /// Whether the time ended before the work.
    pub unfinished: bool,
}

/// Dispatches all jobs that are due, and goes on with the broadcasts, for at most `budget`. Any number of runs may do this
/// at the same time.
pub async fn run_due(app: &App, budget: Duration) -> Result<Summary> {
    let deadline = Deadline::after(budget);
    let (jobs, broadcasts) = tokio::join!(run_jobs(app, deadline), run_broadcasts(app, deadline));
    let (jobs, broadcasts) = (jobs?, broadcasts?);
    Ok(Summary {
        errors: jobs.errors + broadcasts.errors,
        targets: broadcasts.targets,
        unfinished: jobs.unfinished || broadcasts.unfinished,
        ..jobs
    })
}

async fn run_jobs(app: &App, deadline: Deadline) -> Result<Summary> {
    let (mut summary, mut after) = (Summary::default(), None);
    loop {
        let page = app.store.due_push_jobs(app.now(), PAGE, after).await?;
        let users: Vec<&ConsumerUserId> = page.items.iter().map(|due| &due.place.user).collect();
        let bindings = app.store.bindings_of_users(users.into_iter()).await?;
        let mut items = page.items;
        if !items.is_empty() {
            // Runs at the same time begin at different jobs.
            let first = app.entropy.next_u64() % items.len() as u64;
            items.rotate_left(usize::try_from(first).unwrap_or_default());
        }
        let each = |due| one(app, due, &bindings);
        let outcomes: Vec<Option<JobOutcome>> =
            futures::stream::iter(items).map(each).buffer_unordered(MAX_AT_ONCE).collect().await;
        for outcome in outcomes {
            summary.add(outcome);
        }
        after = page.next;
        if after.is_none() || deadline.is_over() {
            summary.unfinished = after.is_some();
            return Ok(summary);
        }
    }
}

impl Summary {
    fn add(&mut self, outcome: Option<JobOutcome>) {
        match outcome {
            Some(JobOutcome { enqueued, failed, skipped }) => {
                self.enqueued += enqueued;
                self.failed += failed;
                self.skipped += skipped;
            }
            None => self.errors += 1,
        }
    }
}

/// Dispatches one job. An error of one job does not stop the others. The job stays due, and the next run tries it again.
async fn one(app: &App, due: DueJob, bindings: &HashMap<ConsumerUserId, Binding>) -> Option<JobOutcome> {
    let DueJob { place, job } = due;
    let dispatched = match job {
        Ok(Some(job)) => Box::pin(dispatch(app, job, bindings.get(&place.user))).await,
        Ok(None) => return Some(JobOutcome::default()),
        Err(error) => {
            let (job, user) = (&place.id, &place.user);
            Metric::PushScheduleError.count();
            tracing::error!(%job, %user, %error, "a push job is malformed");
            let until: Timestamp = app.now() + LOOK_AGAIN;
            let postponed = app.store.postpone_push_job_if_waiting(&place, until).await;
            postponed.map(|_| JobOutcome::default()).map_err(Into::into)
        }
    };
    match dispatched {
        Ok(outcome) => {
            Metric::PushEnqueued.add(outcome.enqueued);
            Metric::PushFailed.add(outcome.failed);
            Some(outcome)
        }
        Err(error) => {
            let (job, error) = (&place.id, &error as &dyn std::error::Error);
            tracing::error!(error, %job, "a push job was not dispatched; the next run tries again");
            None
        }
    }
}

async fn run_broadcasts(app: &App, deadline: Deadline) -> Result<Summary> {
    let due = app.store.due_broadcasts(app.now(), MAX_BROADCASTS).await?;
    let each = |running| async move { (fan_out(app, &running, deadline).await, running) };
    let ended: Vec<_> = futures::stream::iter(due)
        .map(each)
        .buffer_unordered(MAX_BROADCASTS.unsigned_abs() as usize)
        .collect()
        .await;
    let mut summary = Summary::default();
    for (outcome, running) in ended {
        match outcome {
            Ok(outcome) => {
                summary.targets += outcome.targets;
                summary.unfinished |= !outcome.has_ended;
            }
            Err(error) => {
                let (broadcast, error) = (&running.id, &error as &dyn std::error::Error);
                tracing::error!(error, %broadcast, "a broadcast was interrupted; a later run goes on with it");
                summary.errors += 1;
            }
        }
    }
    Ok(summary)
}
