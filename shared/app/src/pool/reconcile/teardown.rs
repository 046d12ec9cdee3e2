//! Teardown: stop the machine, remove it, remove its volume, close the row. The next runs repeat it until it is done. A
//! machine or volume that does not exist counts as removed.

use af_domain::ids::WorkerId;
use af_domain::time::Millis;
use af_domain::worker::WorkerStatus;
use af_providers::{Inventory, MachineRef, Provider, ProviderError, StopOutcome, Teardown};

use super::observe::Observation;
use crate::pool::outcome::Outcome;
use crate::pool::provider::target::WorkerHome;
use crate::{App, Result};

/// The time after which a machine that does not stop is removed by force. It is longer than the five minutes in which a
/// provider lets a machine end by itself.
pub(super) const FORCE_AFTER: Millis = Millis::from_secs(10 * 60);

pub(super) async fn teardown(app: &App, observation: &Observation, id: &WorkerId) -> Result<Outcome> {
    let Some(worker) = app.store.worker(id).await? else { return Ok(Outcome::Stale) };
    let Ok(stopped) = worker.clone().gone(app.now()) else { return Ok(Outcome::Stale) };
    if !worker.is_manual() {
        let Some(target) = &observation.target else {
            return Ok(Outcome::Failed(observation.errors.first().cloned().unwrap_or_default()));
        };
        let WorkerHome { provider, scope } = target.of_worker(app, &worker)?;
        let overdue = matches!(worker.status, WorkerStatus::Stopping { since } if app.now().since(since) >= FORCE_AFTER);
        let known =
            worker.machine.map(|m| MachineRef { app_name: m.app, machine_id: m.id, region: m.region });
        // A machine whose creation had no answer is in no row, but in the provider's list.
        let machine = match known.or_else(|| observation.machine_of(id).map(|m| m.machine.clone())) {
            Some(machine) => Some(machine),
            None => {
                let listed = ours(provider.list(&scope).await)?;
                listed.into_iter().find(|m| &m.worker_id == id).map(|m| m.machine)
            }
        };
        if let Some(machine) = &machine {
            match remove_machine(provider.as_ref(), machine, overdue).await? {
                Outcome::Done => {}
                not_yet => return Ok(not_yet),
            }
        }
        for volume in ours(provider.list_volumes(&scope).await)? {
            if provider.is_volume_of(&scope, id, &volume.volume.name) {
                match provider.delete_volume(&volume.volume).await {
                    Err(ProviderError::Precondition { reason }) => return Ok(Outcome::Waiting(reason)),
                    other => ignore_not_found(other)?,
                }
            }
        }
    }
    tracing::info!(worker = %id, "worker stopped");
    Ok(app.store.stopped_if_stopping(&stopped).await?.into())
}

/// Stops and removes a machine. An `overdue` machine is removed by force, even if its cordon or stop fails.
pub(super) async fn remove_machine(
    provider: &dyn Provider,
    machine: &MachineRef,
    overdue: bool,
) -> Result<Outcome> {
    let stop = match provider.cordon(machine).await {
        Err(error) if !overdue => Err(error),
        _ => provider.stop(machine).await,
    };
    match stop {
        Err(error) if error.is_not_found() => return Ok(Outcome::Done),
        Err(error @ (ProviderError::Auth { .. } | ProviderError::NoToken { .. })) => return Err(error.into()),
        _ if overdue => {}
        Ok(StopOutcome::Stopped) => {}
        Ok(StopOutcome::Stopping) => return Ok(Outcome::Waiting("its machine to stop".to_owned())),
        Err(ProviderError::Precondition { reason }) => return Ok(Outcome::Waiting(reason)),
        Err(error) => return Err(error.into()),
    }
    let teardown = if overdue { Teardown::Force } else { Teardown::WhenStopped };
    match provider.terminate(machine, teardown).await {
        Err(ProviderError::Precondition { reason }) => Ok(Outcome::Waiting(reason)),
        answer => {
            ignore_not_found(answer)?;
            Ok(Outcome::Done)
        }
    }
}

/// The listed machines or volumes. An app that does not exist has none.
fn ours<T>(answer: Result<Inventory<T>, ProviderError>) -> Result<Vec<T>, ProviderError> {
    match answer {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => Ok(other?.ours),
    }
}

/// Treats the removal of something that does not exist as success.
pub(super) fn ignore_not_found(answer: Result<(), ProviderError>) -> Result<()> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        other => Ok(other?),
    }
}
