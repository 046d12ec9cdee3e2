//! Removes an orphan: a machine or volume that carries our mark and belongs to no worker. The rows are read again, with a
//! consistent read, before the removal: if a row of its worker exists by now, nothing is removed.

use af_domain::pool::Orphan;
use af_domain::time::Timestamp;
use af_providers::ProviderError;
use af_runtime::metric::Metric;

use super::observe::{LiveVolumes, Observation};
use super::teardown::{FORCE_AFTER, ignore_not_found, remove_machine};
use crate::pool::outcome::Outcome;
use crate::{App, Result};

pub(super) async fn remove(
    app: &App,
    observation: &Observation,
    orphan: &Orphan,
    since: Timestamp,
) -> Result<Outcome> {
    let Some(target) = &observation.target else { return Ok(Outcome::Stale) };
    let provider = target.provider.as_ref();
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
            // Its name contains a hash, so only a search through the rows finds its worker.
            let workers = app.store.workers().await?;
            if LiveVolumes::of(target, &workers).has(&volume.volume.name) {
                return Ok(Outcome::Stale);
            }
            match provider.delete_volume(&volume.volume).await {
                Err(ProviderError::Precondition { reason }) => Outcome::Waiting(reason),
                answer => {
                    ignore_not_found(answer)?;
                    Outcome::Done
                }
            }
        }
    };
    if removed == Outcome::Done {
        Metric::OrphanRemoved.count();
        tracing::warn!(%orphan, "an orphan is removed");
    }
    Ok(removed)
}
