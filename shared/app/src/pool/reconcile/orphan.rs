//! Removing a machine or volume that carries our mark and belongs to no worker. The rows are read once more, strongly,
//! before anything is touched: whoever has one by now keeps what is his.

use af_domain::pool::Orphan;
use af_domain::time::Timestamp;
use af_providers::ProviderError;

use super::observe::{LiveVolumes, Observation};
use super::teardown::{FORCE_AFTER, absent_is_fine, remove_machine};
use crate::pool::outcome::Outcome;
use crate::{App, AppError};

pub(super) async fn remove(
    app: &App,
    observation: &Observation,
    orphan: &Orphan,
    since: Timestamp,
) -> Result<Outcome, AppError> {
    let Some(place) = &observation.place else { return Ok(Outcome::Stale) };
    let provider = place.provider.as_ref();
    let removed = match orphan {
        Orphan::Machine(id) => {
            let machine =
                observation.inventory.machines.iter().flatten().find(|m| &m.machine.machine_id == id);
            let Some(machine) = machine else { return Ok(Outcome::Stale) };
            if app.store.worker_now(&machine.worker_id).await?.is_some() {
                return Ok(Outcome::Stale);
            }
            let overdue = app.now().since(since) >= FORCE_AFTER;
            remove_machine(provider, &machine.machine, overdue).await?
        }
        Orphan::Volume(id) => {
            let volume = observation.inventory.volumes.iter().flatten().find(|v| &v.volume.volume_id == id);
            let Some(volume) = volume else { return Ok(Outcome::Stale) };
            // Its name is made of a hash: whose it is, only the rows tell.
            let workers = app.store.workers().await?;
            if LiveVolumes::of(place, &workers).has(&volume.volume.name) {
                return Ok(Outcome::Stale);
            }
            match provider.delete_volume(&volume.volume).await {
                Err(ProviderError::Precondition { reason }) => Outcome::Waiting(reason),
                answer => {
                    absent_is_fine(answer)?;
                    Outcome::Done
                }
            }
        }
    };
    if removed == Outcome::Done {
        tracing::warn!(%orphan, metric = "orphan_removed", "what belonged to no worker is removed");
    }
    Ok(removed)
}
