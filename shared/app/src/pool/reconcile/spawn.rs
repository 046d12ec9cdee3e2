//! Spawn: first the worker's row with its conversation, then the machine.

use std::collections::BTreeMap;

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, WorkerId};
use af_domain::policy::Policies;
use af_domain::pool::SPAWN_AHEAD;
use af_domain::worker::{Assignment, DrainReason, Machine, Volume, Worker, WorkerStatus};
use af_providers::{MachineRef, ProviderError, SpawnEnv, SpawnSpec, Teardown, VolumeRef, VolumeSpec};
use af_runtime::metric::Metric;
use af_store::conversation::Commit;
use secrecy::SecretString;

use super::budget::RunBudget;
use super::observe::Observation;
use super::teardown::ignore_not_found;
use crate::access::signed::current_key;
use crate::access::worker_token;
use crate::agents::bridge;
use crate::conversations::hold::is_agent_disabled;
use crate::conversations::repair::examine;
use crate::error::with_causes;
use crate::pool::lifecycle::{FinalSnapshot, drain, finish_drain};
use crate::pool::outcome::Outcome;
use crate::pool::provider::target::ProviderTarget;
use crate::pool::worker_environment::{EnvironmentInputs, environment};
use crate::{App, AppError, Result};

pub(super) async fn spawn(
    app: &App,
    budget: &RunBudget<'_>,
    observation: &Observation,
    conversation: Option<&ConversationKey>,
    policies: &Policies,
) -> Result<Outcome> {
    let (Some(target), Some(url)) = (&observation.target, &observation.public_url) else {
        return Ok(Outcome::Failed(observation.errors.first().cloned().unwrap_or_default()));
    };
    // Before the row, because a worker cannot start without these.
    let inputs = SpawnInputs { url, key: current_key(app).await?, bridge: bridge::variables(app).await? };
    let Some(worker) = register(app, budget, target, conversation, policies).await? else {
        return Ok(Outcome::Stale);
    };
    match start(app, target, inputs, &worker, policies).await {
        Ok(Some(Started { machine, volume })) => {
            let MachineRef { app_name, machine_id, region } = machine.clone();
            let row = Machine { app: app_name, id: machine_id, region };
            let named =
                volume.as_ref().map(|v| Volume { name: v.name.clone(), id: Some(v.volume_id.clone()) });
            let recorded = app.store.machine_if_registered(&worker.id, &row, named.as_ref()).await?;
            if let Commit::Stale = recorded {
                undo(target, Some(&machine), volume.as_ref()).await?;
                return Ok(Outcome::Stale);
            }
            tracing::info!(worker = %worker.id, machine = machine.machine_id, "worker started");
            Ok(Outcome::Done)
        }
        Ok(None) => Ok(Outcome::Stale),
        Err(error) => Ok(not_started(app, budget, &worker.id, error, policies).await),
    }
}

/// Gives up a worker that has its row and could not be started. Its machine may exist although the provider did not say so.
/// So the row goes through drain and teardown, which searches for the machine. The conversation is free at once, unless a
/// worker has claimed there already. When this run is past its time, another run may have found the machine with a working
/// worker. Then the row stays, and the spawn counts as failed when a later run drains the worker.
async fn not_started(
    app: &App,
    budget: &RunBudget<'_>,
    worker: &WorkerId,
    error: AppError,
    policies: &Policies,
) -> Outcome {
    if let AppError::Provider(_) = error {
        Metric::ProviderError.count();
    }
    let why = with_causes(&error);
    tracing::error!(%worker, error = %why, "a worker could not be started");
    let mut is_given_up = false;
    if app.now() < budget.begins_until {
        let given_up = async {
            is_given_up = drain(app, worker, DrainReason::MachineGone, policies).await? == Outcome::Done;
            finish_drain(app, worker, FinalSnapshot::Awaited, policies).await
        };
        if let Err(error) = given_up.await {
            tracing::error!(%worker, error = %with_causes(&error), "a worker that could not be started is left to the next run");
        }
    }
    match error {
        AppError::Provider(ProviderError::RateLimited { retry_after }) => {
            Outcome::RateLimited { why, retry_after }
        }
        _ if is_given_up => Outcome::SpawnFailed(why),
        _ => Outcome::Failed(why),
    }
}

async fn register(
    app: &App,
    budget: &RunBudget<'_>,
    target: &ProviderTarget,
    conversation: Option<&ConversationKey>,
    policies: &Policies,
) -> Result<Option<Worker>> {
    let _registration = budget.registering.lock().await;
    let now = app.now();
    let id = WorkerId::parse(format!("w-{}", app.entropy.ulid(now).to_ascii_lowercase()))?;
    let mut worker = Worker::registered(id, target.provider.kind().as_str().to_owned(), now);
    worker.app = Some(target.scope.app_name.clone());
    worker.image = (!target.settings.image.is_empty()).then(|| target.settings.image.clone());
    let volume_name = target.provider.volume_name(&target.scope, &worker.id);
    worker.volume = volume_name.map(|name| Volume { name, id: None });
    let commit = match conversation {
        None => app.store.register_if_new(&worker, Some(budget.holder), None).await?,
        Some(key) => {
            let Some(before) = app.store.conversation(key, true).await? else { return Ok(None) };
            // The index may list a conversation whose messages were answered in the meantime.
            let head = before.readiness(now + SPAWN_AHEAD, policies).head;
            if is_agent_disabled(app, &before).await? {
                return Ok(None);
            }
            let Some(after) = head.and_then(|_| before.assigned_to(&worker.id, now, policies)) else {
                unlist(app, &before, policies).await?;
                return Ok(None);
            };
            worker.assignment = Some(Assignment::to(&before, now));
            let holder = Some(budget.holder);
            app.store.register_if_free(&worker, &before, &after, holder, None, policies).await?
        }
    };
    Ok(matches!(commit, Commit::Done).then_some(worker))
}

/// Repairs a conversation that the index lists although it wants no worker, unless this is only a delay of the index.
/// Without the repair it would take the place of another conversation in every run.
async fn unlist(app: &App, before: &Conversation, policies: &Policies) -> Result<()> {
    let now = app.now();
    if before.is_indexed_by_mistake(now) {
        examine(app, &before.key, true, policies).await?;
    } else if before.owner.is_none()
        && let Some(repaired) = before.with_keys_repaired(now, policies)
    {
        tracing::warn!(conversation = %before.id, "the ready index listed a conversation before its time");
        app.store.repair_if_unchanged(before, &repaired, policies).await?;
    }
    Ok(())
}

/// What a worker gets at its start, beside what its row says.
struct SpawnInputs<'a> {
    /// The URL that it reports to.
    url: &'a str,
    /// The key that signs its token.
    key: SecretString,
    /// The bridge variables of all agents.
    bridge: BTreeMap<String, String>,
}

/// The machine and volume of a new worker.
struct Started {
    machine: MachineRef,
    volume: Option<VolumeRef>,
}

/// Creates the worker's volume and machine. `None` when its row is stopping or gone, because another run holds the reconcile
/// lease by now and found the worker without a machine. A call of a provider cannot be conditional on the lease. So the row
/// is read right before the machine is created, and again after it.
async fn start(
    app: &App,
    target: &ProviderTarget,
    inputs: SpawnInputs<'_>,
    worker: &Worker,
    policies: &Policies,
) -> Result<Option<Started>> {
    let (token, _) = worker_token::signed(&inputs.key, &worker.id, app.now());
    let env = environment(EnvironmentInputs {
        worker,
        token: &token,
        public_url: inputs.url,
        telegram_url: app.telegram_url.as_deref(),
        policies,
        volume_path: &target.settings.volume_path,
        operator_env: &target.settings.env,
        bridge: inputs.bridge,
    });
    let volume = match &worker.volume {
        Some(volume) => {
            let spec = VolumeSpec {
                scope: target.scope.clone(),
                worker_id: worker.id.clone(),
                name: volume.name.clone(),
                region: target.settings.region.clone(),
                size_gb: target.settings.volume_size_gb,
            };
            Some(target.provider.ensure_volume(&spec).await?)
        }
        None => None,
    };
    let row = app.store.worker_now(&worker.id).await?;
    if row.is_none_or(|row| matches!(row.status, WorkerStatus::Stopping { .. })) {
        undo(target, None, volume.as_ref()).await?;
        return Ok(None);
    }
    let spec = SpawnSpec {
        scope: target.scope.clone(),
        worker_id: worker.id.clone(),
        image: target.settings.image.clone(),
        region: target.settings.region.clone(),
        guest: target.settings.guest.clone(),
        env: SpawnEnv::from(env),
        volume: volume.clone(),
        volume_path: target.settings.volume_path.clone(),
    };
    let machine = target.provider.spawn(&spec).await?.machine;
    Ok(Some(Started { machine, volume }))
}

/// Removes the machine and volume of a worker whose row is gone. The worker has claimed nothing.
async fn undo(
    target: &ProviderTarget,
    machine: Option<&MachineRef>,
    volume: Option<&VolumeRef>,
) -> Result<()> {
    if let Some(machine) = machine {
        ignore_not_found(target.provider.terminate(machine, Teardown::Force).await)?;
    }
    match volume {
        Some(volume) => ignore_not_found(target.provider.delete_volume(volume).await),
        None => Ok(()),
    }
}
