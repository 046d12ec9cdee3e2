//! Teardown: stop, remove the machine, remove its volume, close the row. Repeated until done; what is not there
//! any more is done.

use af_domain::ids::WorkerId;
use af_providers::{MachineRef, ProviderError, StopOutcome, Teardown};

use super::Outcome;
use super::observe::Sight;
use crate::workers::MANUAL;
use crate::{App, AppError};

pub(super) async fn teardown(app: &App, sight: &Sight, id: &WorkerId) -> Result<Outcome, AppError> {
    let Some(worker) = app.store.worker(id).await? else { return Ok(Outcome::Stale) };
    let Ok(stopped) = worker.clone().gone(app.now()) else { return Ok(Outcome::Stale) };
    if worker.provider != MANUAL {
        let Some(place) = &sight.place else {
            return Ok(Outcome::Failed(sight.errors.first().cloned().unwrap_or_default()));
        };
        let known =
            worker.machine.map(|m| MachineRef { app_name: m.app, machine_id: m.id, region: m.region });
        // A machine whose creation was never answered stands in no row, but in the provider's list.
        let machine = match known.or_else(|| sight.machines.get(id).map(|m| m.machine.clone())) {
            Some(machine) => Some(machine),
            None => {
                let listed = place.provider.list(&place.scope).await?;
                listed.ours.into_iter().find(|m| &m.worker_id == id).map(|m| m.machine)
            }
        };
        if let Some(machine) = &machine {
            absent_is_fine(place.provider.cordon(machine).await)?;
            let stop = match place.provider.stop(machine).await {
                Err(error) if error.is_not_found() => StopOutcome::Stopped,
                other => other?,
            };
            if stop == StopOutcome::Stopping {
                return Ok(Outcome::Waiting("its machine to stop".to_owned()));
            }
            match place.provider.terminate(machine, Teardown::WhenStopped).await {
                Err(ProviderError::Precondition { reason }) => return Ok(Outcome::Waiting(reason)),
                other => absent_is_fine(other)?,
            }
        }
        for volume in place.provider.list_volumes(&place.scope).await?.ours {
            if volume.volume.name == place.provider.volume_name(&place.scope, id) {
                match place.provider.delete_volume(&volume.volume).await {
                    Err(ProviderError::Precondition { reason }) => return Ok(Outcome::Waiting(reason)),
                    other => absent_is_fine(other)?,
                }
            }
        }
    }
    tracing::info!(worker = %id, "worker stopped");
    Ok(app.store.stopped_if_stopping(&stopped).await?.into())
}

fn absent_is_fine(answer: Result<(), ProviderError>) -> Result<(), AppError> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        other => Ok(other?),
    }
}
