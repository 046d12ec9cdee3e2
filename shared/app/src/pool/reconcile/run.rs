//! One reconcile invocation: it takes the reconcile lease, then observes, plans and executes until nothing more can be done
//! at once.

use af_api::reconcile::Report;
use af_domain::policy::Policies;
use af_domain::pool::{Action, Plan, Planned, ReconcileState, plan};
use af_domain::time::{Millis, Timestamp};
use af_runtime::metric::Metric;
use af_store::reconcile_lease::Released;

use super::budget::{InvocationLimits, RunBudget};
use super::execute::execute;
use super::measure::{record_actions, record_report};
use super::observe::{Observation, observe};
use super::report::report;
use super::stored_report::stored_report;
use crate::conversations::hold::may_run;
use crate::pool::outcome::Outcome;
use crate::settings::policies;
use crate::{App, AppError};

/// The most runs of one invocation. A pool can grow by more than one step at once, and the invocation still ends.
const MAX_RUNS: usize = 20;

/// What became of a trigger.
#[derive(Debug)]
pub enum Reconciled {
    /// This call has run. The report is of its last run.
    Ran(Report),
    /// Another run is active, and will run again for this trigger.
    LeftToAnother,
}

/// Shows what a run would do. `reached_at` is the URL at which the caller has reached us.
pub async fn dry_run(app: &App, reached_at: Option<&str>) -> Result<Report, AppError> {
    let policies = policies::in_force(app).await?;
    let state = app.store.reconcile_state().await?;
    let observation = observe(app, &policies, state, reached_at, InvocationLimits::BY_CALL.lists).await?;
    let plan = plan(&observation.observed, &policies, app.now());
    let actions = plan.actions.iter().map(|p| (p.clone(), None)).collect();
    Ok(Report { dry_run: true, ..report(&observation, plan, actions, app.now()) })
}

/// Runs until nothing more can be done at once. An error releases the lease too, so that the next trigger need not
/// wait for its expiry.
pub async fn reconcile(app: &App) -> Result<Reconciled, AppError> {
    reconcile_within(app, InvocationLimits::BY_EVENT, None).await
}

/// The same within these time limits. `reached_at` is the URL at which the caller has reached us; workers get it when no
/// other URL is known.
pub async fn reconcile_within(
    app: &App,
    limits: InvocationLimits,
    reached_at: Option<&str>,
) -> Result<Reconciled, AppError> {
    let Some(holder) = app.store.begin_reconcile(app.entropy.next_u64(), app.now()).await? else {
        return Ok(Reconciled::LeftToAnother);
    };
    let mut state = holder.state.clone();
    let began = app.now();
    let budget = RunBudget {
        holder: &holder,
        begins_until: began + limits.begins,
        ends_at: began + limits.ends,
        lists: limits.lists,
        registering: tokio::sync::Mutex::default(),
    };
    let ran = run_until_quiet(app, reached_at, &budget, &mut state).await;
    if ran.is_err()
        && let Err(error) = app.store.abandon_reconcile(&holder, &state).await
    {
        tracing::warn!(%error, "the reconcile lease could not be released; it expires");
    }
    ran.map(Reconciled::Ran)
}

async fn run_until_quiet(
    app: &App,
    reached_at: Option<&str>,
    budget: &RunBudget<'_>,
    state: &mut ReconcileState,
) -> Result<Report, AppError> {
    let holder = budget.holder;
    let began = app.now();
    let policies = policies::in_force(app).await?;
    let mut last = Report::default();
    for run in 1..=MAX_RUNS {
        let now = app.now();
        let lists_for = budget.ends_at.since(now).min(budget.lists);
        let observation = observe(app, &policies, state.clone(), reached_at, lists_for).await?;
        let plan = plan(&observation.observed, &policies, now);
        for conversation in &observation.disabled {
            if conversation.readiness(now, &policies).head.is_some() {
                Box::pin(may_run(app, conversation, &policies)).await?;
            }
        }
        let actions = execute(app, budget, &observation, &plan, &policies).await;
        record_actions(&actions);
        *state = next_state(&observation, &plan, &actions, &policies, app.now());
        let progress = actions.iter().any(|(p, d)| *d == Some(Outcome::Done) && makes_room(&p.action));
        last = report(&observation, plan, actions, now);
        let may_go_on = run < MAX_RUNS && app.now() < budget.begins_until;
        if last.unserved > 0 && progress && may_go_on {
            continue;
        }
        record_report(&last, &observation, began, app.now());
        let json = stored_report(&last).map_err(|source| AppError::Unreadable { what: "report", source })?;
        match app.store.end_reconcile(holder, &json, state, app.now()).await? {
            Released::RunAgain if may_go_on => {}
            // The next tick of the schedule serves the last trigger. A lease that stays held would block that tick.
            Released::RunAgain => {
                app.store.abandon_reconcile(holder, state).await?;
                break;
            }
            Released::Done | Released::Lost => break,
        }
    }
    Ok(last)
}

/// The state that this run leaves for the next.
fn next_state(
    observation: &Observation,
    plan: &Plan,
    actions: &[(Planned, Option<Outcome>)],
    policies: &Policies,
    now: Timestamp,
) -> ReconcileState {
    let mut state = observation.observed.state_now();
    state.orphans = plan.orphans.clone();
    state.is_short = plan.is_short;
    let removals = actions.iter().filter_map(|(p, done)| match &p.action {
        Action::Remove { orphan, since } if *done != Some(Outcome::OutOfTime) => Some((orphan, *since)),
        _ => None,
    });
    state.note_tried(&removals.collect::<Vec<_>>(), policies, now);
    state.foreign = observation.inventory.foreign;
    if observation.inventory.is_full {
        state.last_full_listing_at = Some(now);
    }
    let spawns = || actions.iter().filter(|(p, _)| matches!(p.action, Action::Spawn { .. }));
    let started = spawns().any(|(_, done)| *done == Some(Outcome::Done));
    let refused = spawns().filter(|(_, done)| matches!(done, Some(Outcome::SpawnFailed(_)))).count();
    let never_came_up = |(p, done): &&(Planned, Option<Outcome>)| {
        *done == Some(Outcome::Done) && observation.observed.drains_silent_worker(&p.action)
    };
    // A provider that starts some workers is not down.
    let failed = actions.iter().filter(never_came_up).count() + if started { 0 } else { refused };
    state.count_failures(failed, now);
    state.pause_spawns(spawns().filter_map(|(_, done)| requested_pause(done.as_ref()?)).max(), now);
    if let Some(end) = state.cool_down_ends().filter(|_| failed > 0) {
        let failures = state.failures;
        Metric::SpawnCoolDown.count();
        tracing::error!(failures, until = %end, "the provider starts no workers");
    }
    state
}

fn requested_pause(outcome: &Outcome) -> Option<Millis> {
    let Outcome::RateLimited { retry_after, .. } = outcome else { return None };
    Some(Millis::new(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX)))
}

/// The stored report of the last run. In a large report, waits of the same kind are one entry.
pub async fn last_report(app: &App) -> Result<Option<Report>, AppError> {
    let Some((_, json)) = app.store.last_reconcile().await? else { return Ok(None) };
    serde_json::from_str(&json).map(Some).map_err(|source| AppError::Unreadable { what: "report", source })
}

/// Whether a further run may serve more conversations after this action.
const fn makes_room(action: &Action) -> bool {
    matches!(action, Action::Spawn { .. } | Action::Teardown { .. })
}
