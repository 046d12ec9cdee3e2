//! Reconcile: observe, plan, execute. One at a time; a trigger that finds one running makes it run once more.

mod execute;
mod kept;
mod machines;
mod observe;
mod orphan;
pub(crate) mod repair;
mod spawn;
mod teardown;
mod waiting;

use std::collections::BTreeMap;
use std::time::Duration;

use af_domain::policy::Policies;
use af_domain::pool::{Action, Memory, Plan, Planned, Wait, plan};
use af_domain::time::{Millis, Timestamp};
use af_store::reconcile_lease::{ReconcileHolder, Released};
use serde::{Deserialize, Serialize};

use crate::provider::readiness;
use crate::{App, AppError, policies};
use execute::execute;
pub(crate) use execute::{FinalSnapshot, drain, settle};
use observe::{Sight, observe};
use utoipa::ToSchema;

/// Runs of one invocation, so that a pool grows by more than one step at once and yet a single invocation ends.
const RUNS_MAX: usize = 20;

/// How long an invocation may take, by what its function has.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// How long the provider's lists may take: of a thousand machines they take some ten seconds, and half of the time is
    /// left for what does not need them.
    lists: Millis,
    /// Time after which it begins nothing more, neither a run nor an action: one that was frozen, and wakes when its
    /// lease is another's, shall leave the pool alone.
    begins: Millis,
    /// Time after which what has begun is no longer waited for: what is left until the function's limit is for the report
    /// and the lease. A provider that hangs would else take the lease with it.
    ends: Millis,
}

impl Allowed {
    /// For a function of 60 s, which nobody waits for.
    pub const BY_EVENT: Self = Self::secs(20, 40, 50);
    /// For a function of 29 s, whose caller waits. The lists of the largest pools just fit.
    pub const BY_CALL: Self = Self::secs(12, 18, 23);

    const fn secs(lists: u64, begins: u64, ends: u64) -> Self {
        let [lists, begins, ends] =
            [Millis::from_secs(lists), Millis::from_secs(begins), Millis::from_secs(ends)];
        Self { lists, begins, ends }
    }

    /// When it has ended, but for the report and the lease.
    #[must_use]
    pub const fn ends(self) -> Millis {
        self.ends
    }
}

/// What a run found, did, and waits for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it observed, epoch ms.
    pub at: u64,
    /// Whether it only planned.
    pub dry_run: bool,
    /// What it did, or would do.
    pub actions: Vec<ActionReport>,
    /// How many more there were: the report that is kept names the first only.
    #[serde(default, skip_serializing_if = "is_none")]
    pub actions_omitted: usize,
    /// What it leaves alone for now, and until when at the latest.
    pub waits: Vec<WaitReport>,
    /// Conversations that want a worker and got none.
    pub unserved: usize,
    /// What is missing or failed; it stops nothing else.
    pub errors: Vec<String>,
    /// What works and yet may be a mistake: an app that others use, machines of several images.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Workers by status.
    pub workers: BTreeMap<String, usize>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

/// One action of a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionReport {
    /// `recover`, `repair`, `unassign`, `promote`, `drain`, `settle`, `teardown`, `remove`, `wake`, `spawn` or `switch`.
    pub action: String,
    /// Which worker or conversation.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// `planned`, `done`, `stale` (somebody was faster), `waiting: …` or `failed: …`.
    pub outcome: String,
}

/// Something that a run leaves alone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitReport {
    /// What waits.
    pub subject: String,
    /// What for.
    pub waits_for: String,
    /// Until when at the latest, epoch ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// The right to run.
struct Turn<'a> {
    /// The lease.
    holder: &'a ReconcileHolder,
    /// The moment after which nothing more begins.
    begins_until: Timestamp,
    /// The moment after which nothing is waited for.
    ends_at: Timestamp,
    /// How long the provider's lists may take.
    lists: Millis,
    /// Held while a worker is registered. Each registration checks the lease's item, and the table refuses
    /// transactions that meet on an item.
    registering: tokio::sync::Mutex<()>,
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out.
    Done,
    /// Its condition did not hold any more.
    Stale,
    /// It needs another tick.
    Waiting(String),
    /// The run's time was up before its turn came.
    NotBegun,
    /// It failed; the next tick tries again.
    Failed(String),
    /// The provider did not start a worker; after several in a row there is a pause.
    NotStarted(String),
    /// The provider started none, and wants to be asked again after so much time.
    HeldBack {
        /// What it says.
        why: String,
        /// The time.
        retry_after: Duration,
    },
}

/// Whether this trigger's wish is fulfilled.
#[derive(Debug)]
pub enum Reconciled {
    /// This call ran; the report of its last run.
    Ran(Report),
    /// Another one runs and will run once more.
    LeftToAnother,
}

/// Shows what a run would do. `reached_at` is the URL by which the caller has reached us.
///
/// # Errors
/// When the table cannot be read.
pub async fn dry_run(app: &App, reached_at: Option<&str>) -> Result<Report, AppError> {
    let policies = policies::in_force(app).await?;
    let memory = app.store.reconcile_memory().await?;
    let sight = observe(app, &policies, memory, reached_at, Allowed::BY_CALL.lists).await?;
    let plan = plan(&sight.observed, &policies, app.now());
    let actions = plan.actions.iter().map(|p| (p.clone(), None)).collect();
    Ok(Report { dry_run: true, ..report(&sight, plan, actions, app.now()) })
}

/// Runs until there is nothing more to do at once.
///
/// # Errors
/// When the table cannot be read or written. The lease is given up then, so that the next trigger need not wait
/// for its end.
pub async fn reconcile(app: &App) -> Result<Reconciled, AppError> {
    reconcile_within(app, Allowed::BY_EVENT, None).await
}

/// The same within this time, for a caller that has reached us at this URL: workers are told it where we know no other.
///
/// # Errors
/// As `reconcile`.
pub async fn reconcile_within(
    app: &App,
    allowed: Allowed,
    reached_at: Option<&str>,
) -> Result<Reconciled, AppError> {
    let Some(holder) = app.store.begin_reconcile(app.entropy.next_u64(), app.now()).await? else {
        return Ok(Reconciled::LeftToAnother);
    };
    let mut memory = holder.memory.clone();
    let began = app.now();
    let turn = Turn {
        holder: &holder,
        begins_until: began + allowed.begins,
        ends_at: began + allowed.ends,
        lists: allowed.lists,
        registering: tokio::sync::Mutex::default(),
    };
    let ran = run_until_quiet(app, reached_at, &turn, &mut memory).await;
    if ran.is_err()
        && let Err(error) = app.store.abandon_reconcile(&holder, &memory).await
    {
        tracing::warn!(%error, "the reconcile lease could not be given up; it ends by itself");
    }
    ran.map(Reconciled::Ran)
}

async fn run_until_quiet(
    app: &App,
    reached_at: Option<&str>,
    turn: &Turn<'_>,
    memory: &mut Memory,
) -> Result<Report, AppError> {
    let holder = turn.holder;
    let policies = policies::in_force(app).await?;
    let mut last = Report::default();
    for run in 1..=RUNS_MAX {
        let now = app.now();
        let lists_for = turn.ends_at.since(now).min(turn.lists);
        let sight = observe(app, &policies, memory.clone(), reached_at, lists_for).await?;
        let plan = plan(&sight.observed, &policies, now);
        let actions = execute(app, turn, &sight, &plan, &policies).await;
        *memory = remembered(&sight, &plan, &actions, &policies, app.now());
        let progress = actions.iter().any(|(p, d)| *d == Some(Outcome::Done) && makes_room(&p.action));
        last = report(&sight, plan, actions, now);
        let may_go_on = run < RUNS_MAX && app.now() < turn.begins_until;
        if last.unserved > 0 && progress && may_go_on {
            continue;
        }
        let json = kept::kept(&last).map_err(|source| AppError::Unreadable { what: "report", source })?;
        match app.store.end_reconcile(holder, &json, memory, app.now()).await? {
            Released::RunAgain if may_go_on => {}
            // The schedule sees to what the last trigger wanted; held by nobody, the lease would stop it.
            Released::RunAgain => {
                app.store.abandon_reconcile(holder, memory).await?;
                break;
            }
            Released::Done | Released::Lost => break,
        }
    }
    Ok(last)
}

/// What this run leaves for the next.
fn remembered(
    sight: &Sight,
    plan: &Plan,
    actions: &[(Planned, Option<Outcome>)],
    policies: &Policies,
    now: Timestamp,
) -> Memory {
    let mut memory = sight.observed.memory_now();
    memory.orphans = plan.orphans.clone();
    let removals = actions.iter().filter_map(|(p, done)| match &p.action {
        Action::Remove { orphan, since } if *done != Some(Outcome::NotBegun) => Some((orphan, *since)),
        _ => None,
    });
    memory.note_tried(&removals.collect::<Vec<_>>(), policies, now);
    memory.foreign = sight.foreign();
    if sight.stock.looked {
        memory.looked_at = Some(now);
    }
    let spawns = || actions.iter().filter(|(p, _)| matches!(p.action, Action::Spawn { .. }));
    let started = spawns().any(|(_, done)| *done == Some(Outcome::Done));
    let refused = spawns().filter(|(_, done)| matches!(done, Some(Outcome::NotStarted(_)))).count();
    let gave_up = |(p, done): &&(Planned, Option<Outcome>)| {
        *done == Some(Outcome::Done) && sight.observed.is_of_no_life(&p.action)
    };
    // A provider that starts some of them is not down.
    let failed = actions.iter().filter(gave_up).count() + if started { 0 } else { refused };
    memory.count_failures(failed, now);
    memory.rest(spawns().filter_map(|(_, done)| asked_pause(done.as_ref()?)).max(), now);
    if let Some(end) = memory.cool_down_ends().filter(|_| failed > 0) {
        let failures = memory.failures;
        tracing::error!(metric = "spawn_cool_down", failures, until = %end, "the provider starts no workers");
    }
    memory
}

fn asked_pause(outcome: &Outcome) -> Option<Millis> {
    let Outcome::HeldBack { retry_after, .. } = outcome else { return None };
    Some(Millis::new(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX)))
}

/// The report of the last run, as it was kept: waits of the same kind as one when there were many.
///
/// # Errors
/// When it cannot be read.
pub async fn last_report(app: &App) -> Result<Option<Report>, AppError> {
    let Some((_, json)) = app.store.last_reconcile().await? else { return Ok(None) };
    serde_json::from_str(&json).map(Some).map_err(|source| AppError::Unreadable { what: "report", source })
}

/// Whether another run may serve more conversations after this action.
const fn makes_room(action: &Action) -> bool {
    matches!(action, Action::Spawn { .. } | Action::Teardown { .. })
}

fn report(sight: &Sight, plan: Plan, actions: Vec<(Planned, Option<Outcome>)>, at: Timestamp) -> Report {
    let mut workers = BTreeMap::new();
    for observed in &sight.observed.workers {
        *workers.entry(observed.worker.status.name().to_owned()).or_default() += 1;
    }
    Report {
        at: at.as_millis(),
        dry_run: false,
        actions: actions.into_iter().map(|(planned, done)| action_report(sight, planned, done)).collect(),
        actions_omitted: 0,
        waits: plan.waits.into_iter().map(wait_report).collect(),
        unserved: plan.unserved,
        errors: sight.errors.clone(),
        warnings: warnings(sight),
        workers,
    }
}

fn warnings(sight: &Sight) -> Vec<String> {
    let (machines, volumes) = sight.foreign();
    let shared = readiness::shared(machines, volumes);
    let images = sight.stock.machines.as_deref().and_then(readiness::images);
    shared.into_iter().chain(images).collect()
}

fn action_report(sight: &Sight, planned: Planned, done: Option<Outcome>) -> ActionReport {
    let conversation = |key| format!("conversation {}", sight.name_of(key));
    let (action, subject) = match &planned.action {
        Action::Recover { conversation: key, .. } => ("recover", conversation(key)),
        Action::Repair { conversation: key } => ("repair", conversation(key)),
        Action::Unassign { worker } => ("unassign", format!("worker {worker}")),
        Action::Promote { conversation: key } => ("promote", conversation(key)),
        Action::Drain { worker, .. } => ("drain", format!("worker {worker}")),
        Action::Settle { worker, .. } => ("settle", format!("worker {worker}")),
        Action::Teardown { worker } => ("teardown", format!("worker {worker}")),
        Action::Remove { orphan, .. } => ("remove", orphan.to_string()),
        Action::Wake { worker, .. } => ("wake", format!("worker {worker}")),
        Action::Spawn { conversation: Some(key) } => ("spawn", format!("worker for {}", conversation(key))),
        Action::Spawn { conversation: None } => ("spawn", "spare worker".to_owned()),
        Action::AskToSwitch { conversation: key } => ("switch", conversation(key)),
    };
    let outcome = match done {
        None => "planned".to_owned(),
        Some(Outcome::Done) => "done".to_owned(),
        Some(Outcome::Stale) => "stale".to_owned(),
        Some(Outcome::Waiting(what)) => format!("waiting: {what}"),
        Some(Outcome::NotBegun) => "waiting: the next run, this one's time is up".to_owned(),
        Some(Outcome::Failed(why) | Outcome::NotStarted(why) | Outcome::HeldBack { why, .. }) => {
            format!("failed: {why}")
        }
    };
    ActionReport { action: action.to_owned(), subject, reason: planned.reason, outcome }
}

fn wait_report(wait: Wait) -> WaitReport {
    WaitReport {
        subject: wait.subject,
        waits_for: wait.waits_for,
        until: wait.until.map(Timestamp::as_millis),
    }
}
