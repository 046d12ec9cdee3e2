//! An operator deletes one volume.

use af_domain::ids::VolumeId;
use af_domain::refusal::Refusal;

use super::refusal::refused;
use super::target::find_target;
use crate::{App, Result};

/// Deletes a volume of this deployment and everything on it. It is refused if this deployment has no such volume, or
/// a machine has it.
pub async fn delete(app: &App, id: &VolumeId) -> Result<()> {
    let target = find_target(app).await?.required()?;
    let listed = target.provider.list_volumes(&target.scope).await.map_err(refused)?.ours;
    let volume = listed.into_iter().find(|v| v.volume.volume_id == id.as_str());
    let volume = volume.ok_or_else(|| Refusal::not_found("volume of this deployment with that id"))?;
    target.provider.delete_volume(&volume.volume).await.map_err(refused)?;
    tracing::info!(volume = %id, "an operator deleted a volume");
    Ok(())
}
