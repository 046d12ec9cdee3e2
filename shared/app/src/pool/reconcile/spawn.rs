//! Spawning: the row first, with its conversation, then the machine.

use std::collections::BTreeMap;

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, WorkerId};
use af_domain::policy::Policies;
use af_domain::pool::SPAWN_AHEAD;
use af_domain::worker::{DrainReason, Machine, Volume, Worker, WorkerStatus};
use af_providers::{MachineRef, ProviderError, SpawnEnv, SpawnSpec, Teardown, VolumeRef, VolumeSpec};
use af_store::conversation::Commit;
use secrecy::SecretString;

use super::budget::RunBudget;
use super::observe::Observation;
use super::teardown::absent_is_fine;
use crate::access::worker_token;
use crate::agents::bridge;
use crate::conversations::repair::examine;
use crate::error::with_causes;
use crate::pool::lifecycle::{FinalSnapshot, drain, finish_drain};
use crate::pool::outcome::Outcome;
use crate::pool::provider::ProviderTarget;
use crate::pool::worker_environment::{Ingredients, environment};
use crate::pool::workers::assignment;
use crate::{App, AppError};

pub(super) async fn spawn(
    app: &App,
    budget: &RunBudget<'_>,
    observation: &Observation,
    conversation: Option<&ConversationKey>,
    policies: &Policies,
) -> Result<Outcome, AppError> {
    let (Some(place), Some(url)) = (&observation.place, &observation.public_url) else {
        return Ok(Outcome::Failed(observation.errors.first().cloned().unwrap_or_default()));
    };
    // Before the row: without these, there would be nothing to start.
    let told =
        Told { url, key: worker_token::current_key(app).await?, bridge: bridge::variables(app).await? };
    let Some(worker) = register(app, budget, place, conversation, policies).await? else {
        return Ok(Outcome::Stale);
    };
    match start(app, place, told, &worker, policies).await {
        Ok(Some(Started { machine, volume })) => {
            let MachineRef { app_name, machine_id, region } = machine.clone();
            let row = Machine { app: app_name, id: machine_id, region };
            let named =
                volume.as_ref().map(|v| Volume { name: v.name.clone(), id: Some(v.volume_id.clone()) });
            let noted = app.store.machine_if_registered(&worker.id, &row, named.as_ref()).await?;
            if let Commit::Stale = noted {
                undo(place, Some(&machine), volume.as_ref()).await?;
                return Ok(Outcome::Stale);
            }
            tracing::info!(worker = %worker.id, machine = machine.machine_id, "worker started");
            Ok(Outcome::Done)
        }
        Ok(None) => Ok(Outcome::Stale),
        Err(error) => Ok(not_started(app, budget, &worker.id, error, policies).await),
    }
}

/// What becomes of a worker that has its row and could not be started. The machine may exist although its provider did
/// not say so: the row goes the usual way, whose teardown looks for it, and the conversation is free at once, unless a
/// worker has claimed there already. Of one that was frozen meanwhile another run may have found the machine, and the
/// worker at work: its row stays, and it counts as failed when it is given up.
async fn not_started(
    app: &App,
    budget: &RunBudget<'_>,
    worker: &WorkerId,
    error: AppError,
    policies: &Policies,
) -> Outcome {
    let why = with_causes(&error);
    tracing::error!(%worker, error = %why, "a worker could not be started");
    let mut is_given_up = false;
    if app.now() < budget.begins_until {
        let given_up = async {
            is_given_up = drain(app, worker, DrainReason::MachineGone, policies).await? == Outcome::Done;
            finish_drain(app, worker, FinalSnapshot::Awaited, policies).await
        };
        if let Err(error) = given_up.await {
            tracing::error!(%worker, error = %with_causes(&error), "it is left to the next run");
        }
    }
    match error {
        AppError::Provider(ProviderError::RateLimited { retry_after }) => {
            Outcome::HeldBack { why, retry_after }
        }
        _ if is_given_up => Outcome::NotStarted(why),
        _ => Outcome::Failed(why),
    }
}

async fn register(
    app: &App,
    budget: &RunBudget<'_>,
    place: &ProviderTarget,
    conversation: Option<&ConversationKey>,
    policies: &Policies,
) -> Result<Option<Worker>, AppError> {
    let _in_turn = budget.registering.lock().await;
    let now = app.now();
    let id = WorkerId::parse(format!("w-{}", app.entropy.ulid(now).to_ascii_lowercase()))?;
    let mut worker = Worker::registered(id, place.provider.kind().as_str().to_owned(), now);
    worker.app = Some(place.scope.app_name.clone());
    worker.image = (!place.image.is_empty()).then(|| place.image.clone());
    if place.provider.capabilities().volumes {
        let name = place.provider.volume_name(&place.scope, &worker.id);
        worker.volume = Some(Volume { name, id: None });
    }
    let commit = match conversation {
        None => app.store.register_if_new(&worker, Some(budget.holder), None).await?,
        Some(key) => {
            let Some(before) = app.store.conversation(key, true).await? else { return Ok(None) };
            // The index may show what has been answered meanwhile.
            let head = before.readiness(now + SPAWN_AHEAD, policies).head;
            let Some(after) = head.and_then(|_| before.assigned_to(&worker.id, now, policies)) else {
                unlist(app, &before, policies).await?;
                return Ok(None);
            };
            worker.assignment = Some(assignment(&before, now));
            app.store
                .register_if_free(&worker, &before, &after, (Some(budget.holder), None), policies)
                .await?
        }
    };
    Ok(match commit {
        Commit::Done => Some(worker),
        Commit::Stale => None,
    })
}

/// Mends a conversation that the index names although it wants no worker, where that is no mere delay of the index: it
/// would take the place of another one in every run.
async fn unlist(app: &App, before: &Conversation, policies: &Policies) -> Result<(), AppError> {
    let now = app.now();
    if before.is_indexed_by_mistake(now) {
        examine(app, &before.key, true, policies).await?;
    } else if before.owner.is_none()
        && let Some(repaired) = before.with_keys_repaired(now, policies)
    {
        tracing::warn!(conversation = %before.id, "the ready index named it before its time");
        app.store.repair_if_unchanged(before, &repaired, policies).await?;
    }
    Ok(())
}

/// What a worker is told at its start, beside what its row says.
struct Told<'a> {
    /// Where to report.
    url: &'a str,
    /// What its token is signed with.
    key: SecretString,
    /// The bridge of all agents.
    bridge: BTreeMap<String, String>,
}

/// What was made for a worker.
struct Started {
    machine: MachineRef,
    volume: Option<VolumeRef>,
}

/// Makes the worker's volume and machine. None when its row is being closed, or is gone: whoever holds the reconcile
/// lease by now took the worker for one without a machine. No call of a provider can be made conditional on the lease,
/// so the row is looked at right before the machine is made, and once more after it.
async fn start(
    app: &App,
    place: &ProviderTarget,
    told: Told<'_>,
    worker: &Worker,
    policies: &Policies,
) -> Result<Option<Started>, AppError> {
    let (token, _) = worker_token::signed(&told.key, &worker.id, app.now());
    let env = environment(Ingredients {
        worker,
        token: &token,
        public_url: told.url,
        telegram_url: app.telegram_url.as_deref(),
        policies,
        volume_path: &place.volume_path,
        operators: &place.env,
        bridge: told.bridge,
    });
    let volume = match &worker.volume {
        Some(volume) => {
            let spec = VolumeSpec {
                scope: place.scope.clone(),
                worker_id: worker.id.clone(),
                name: volume.name.clone(),
                region: place.region.clone(),
                size_gb: place.volume_size_gb,
            };
            Some(place.provider.ensure_volume(&spec).await?)
        }
        None => None,
    };
    let row = app.store.worker_now(&worker.id).await?;
    if row.is_none_or(|row| matches!(row.status, WorkerStatus::Stopping { .. })) {
        undo(place, None, volume.as_ref()).await?;
        return Ok(None);
    }
    let spec = SpawnSpec {
        scope: place.scope.clone(),
        worker_id: worker.id.clone(),
        image: place.image.clone(),
        region: place.region.clone(),
        guest: place.guest.clone(),
        env: SpawnEnv::from(env),
        volume: volume.clone(),
        volume_path: place.volume_path.clone(),
    };
    let machine = place.provider.spawn(&spec).await?.machine;
    Ok(Some(Started { machine, volume }))
}

/// Removes what was made for a worker that nobody wants any more; nobody has claimed anything on it.
async fn undo(
    place: &ProviderTarget,
    machine: Option<&MachineRef>,
    volume: Option<&VolumeRef>,
) -> Result<(), AppError> {
    if let Some(machine) = machine {
        absent_is_fine(place.provider.terminate(machine, Teardown::Force).await)?;
    }
    match volume {
        Some(volume) => absent_is_fine(place.provider.delete_volume(volume).await),
        None => Ok(()),
    }
}
