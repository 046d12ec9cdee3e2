//! Execute a plan: actions on one worker in order, different workers at the same time. Every action reads its subject again
//! and commits on a condition, so an action that is out of date does nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use af_domain::ids::ConversationKey;
use af_domain::policy::Policies;
use af_domain::pool::{Action, Plan, Planned};
use af_runtime::metric::Metric;
use futures::StreamExt;

use super::budget::RunBudget;
use super::observe::Observation;
use super::{orphan, spawn, teardown};
use crate::conversations::{recover, repair};
use crate::error::with_causes;
use crate::pool::lifecycle::{FinalSnapshot, drain, finish_drain};
use crate::pool::outcome::Outcome;
use crate::{App, AppError, Result};

/// The most subjects at the same time: enough to hide a provider's latency, few enough for its rate limits.
const MAX_CONCURRENT: usize = 8;

type Step = (usize, Planned);

pub(super) async fn execute(
    app: &App,
    budget: &RunBudget<'_>,
    observation: &Observation,
    plan: &Plan,
    policies: &Policies,
) -> Vec<(Planned, Option<Outcome>)> {
    let steps = plan.actions.iter().cloned().enumerate();
    let (table, provider): (Vec<Step>, Vec<Step>) = steps.partition(|(_, p)| rank(&p.action) == Rank::Table);
    let mut done = run(app, budget, observation, table, policies).await;
    done.extend(run(app, budget, observation, provider, policies).await);
    done.sort_by_key(|(i, _, _)| *i);
    done.into_iter().map(|(_, planned, outcome)| (planned, Some(outcome))).collect()
}

/// The order in which actions on different subjects begin. A slow provider may use up the time of the run, so actions that
/// need only the table come first, on each worker too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Table,
    Spawn,
    Teardown,
    Remove,
}

const fn rank(action: &Action) -> Rank {
    match action {
        Action::Recover { .. }
        | Action::Repair { .. }
        | Action::Unassign { .. }
        | Action::Promote { .. }
        | Action::Drain { .. }
        | Action::FinishDrain { .. }
        | Action::AskToSwitch { .. } => Rank::Table,
        Action::Spawn { .. } => Rank::Spawn,
        Action::Teardown { .. } => Rank::Teardown,
        Action::Remove { .. } => Rank::Remove,
    }
}

/// Carries out the steps. Those on one subject are in order.
async fn run(
    app: &App,
    budget: &RunBudget<'_>,
    observation: &Observation,
    steps: Vec<Step>,
    policies: &Policies,
) -> Vec<(usize, Planned, Outcome)> {
    let mut by_subject: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for (i, planned) in steps {
        by_subject.entry(subject(observation, &planned.action, i)).or_default().push((i, planned));
    }
    let mut groups: Vec<_> = by_subject.into_values().collect();
    groups.sort_by_key(|steps| steps.first().map(|(i, p)| (rank(&p.action), *i)));
    let run = |steps: Vec<Step>| async move {
        let mut done = Vec::with_capacity(steps.len());
        for (i, planned) in steps {
            let left = Duration::from_millis(budget.ends_at.since(app.now()).as_millis());
            let acting = carry_out(app, budget, observation, &planned.action, policies);
            let outcome = match tokio::time::timeout(left, acting).await {
                Ok(Ok(outcome)) => outcome,
                // It may have taken effect, as after the end of a function.
                Err(_) => {
                    tracing::error!(action = ?planned.action, "an action of the plan did not end in time");
                    Outcome::Failed("it did not end within the time of the run".to_owned())
                }
                Ok(Err(error)) => {
                    if let AppError::Provider(_) = error {
                        Metric::ProviderError.count();
                    }
                    let why = with_causes(&error);
                    tracing::error!(action = ?planned.action, error = %why, "an action of the plan failed");
                    Outcome::Failed(why)
                }
            };
            done.push((i, planned, outcome));
        }
        done
    };
    let groups: Vec<_> = groups.into_iter().map(run).collect();
    futures::stream::iter(groups).buffer_unordered(MAX_CONCURRENT).concat().await
}

/// The subject of an action. For a conversation with an owner it is the worker, so that actions on both stay in order.
fn subject(observation: &Observation, action: &Action, index: usize) -> String {
    let of_conversation = |key: &ConversationKey| match observation.owner_of(key) {
        Some(worker) => format!("w {worker}"),
        None => format!("c {key}"),
    };
    match action {
        Action::Recover { conversation, .. }
        | Action::Repair { conversation }
        | Action::Promote { conversation }
        | Action::AskToSwitch { conversation }
        | Action::Spawn { conversation: Some(conversation) } => of_conversation(conversation),
        Action::Spawn { conversation: None } => format!("spare {index}"),
        Action::Remove { orphan, .. } => format!("o {orphan}"),
        Action::Drain { worker, .. }
        | Action::FinishDrain { worker, .. }
        | Action::Teardown { worker }
        | Action::Unassign { worker } => format!("w {worker}"),
    }
}

async fn carry_out(
    app: &App,
    budget: &RunBudget<'_>,
    observation: &Observation,
    action: &Action,
    policies: &Policies,
) -> Result<Outcome> {
    if app.now() >= budget.begins_until {
        return Ok(Outcome::OutOfTime);
    }
    match action {
        Action::Recover { conversation, holder, cut } => {
            recover::recover(app, conversation, holder, *cut, policies).await
        }
        Action::Repair { conversation } => repair::repair(app, conversation, policies).await,
        Action::Unassign { worker } => repair::unassign(app, worker).await,
        Action::Promote { conversation } => promote(app, conversation, policies).await,
        Action::AskToSwitch { conversation } => {
            let Some(conversation) = app.store.conversation(conversation, true).await? else {
                return Ok(Outcome::Stale);
            };
            Ok(app.store.ask_to_switch_if_owned(&conversation, true).await?.into())
        }
        Action::Drain { worker, reason } => drain(app, worker, *reason, policies).await,
        Action::FinishDrain { worker, gone } => {
            let snapshot = if *gone { FinalSnapshot::Lost } else { FinalSnapshot::Awaited };
            finish_drain(app, worker, snapshot, policies).await
        }
        Action::Teardown { worker } => teardown::teardown(app, observation, worker).await,
        Action::Remove { orphan, since } => orphan::remove(app, observation, orphan, *since).await,
        Action::Spawn { conversation } => {
            spawn::spawn(app, budget, observation, conversation.as_ref(), policies).await
        }
    }
}

async fn promote(app: &App, key: &ConversationKey, policies: &Policies) -> Result<Outcome> {
    let Some(conversation) = app.store.conversation(key, true).await? else { return Ok(Outcome::Stale) };
    match conversation.with_keys_repaired(app.now(), policies) {
        Some(repaired) => Ok(app.store.repair_if_unchanged(&conversation, &repaired, policies).await?.into()),
        None => Ok(Outcome::Stale),
    }
}
