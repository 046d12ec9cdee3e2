//! Deleting one volume, by an operator's hand.

use af_domain::ids::VolumeId;
use af_domain::refusal::Refusal;

use super::{told, usable};
use crate::{App, AppError};

/// Deletes a volume of this deployment and everything on it.
///
/// # Errors
/// Refused when there is no such volume of ours, or a machine has it.
pub async fn delete(app: &App, id: &VolumeId) -> Result<(), AppError> {
    let place = usable(app).await?;
    let listed = place.provider.list_volumes(&place.scope).await.map_err(told)?.ours;
    let volume = listed.into_iter().find(|v| v.volume.volume_id == id.as_str());
    let volume = volume.ok_or_else(|| Refusal::not_found("volume of this deployment with that id"))?;
    place.provider.delete_volume(&volume.volume).await.map_err(told)?;
    tracing::info!(volume = %id, "volume deleted by an operator");
    Ok(())
}
