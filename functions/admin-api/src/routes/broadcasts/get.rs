use af_api::broadcasts::BroadcastBody;
use af_app::push::broadcasts;
use af_domain::ids::BroadcastId;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Shows a broadcast and its progress.
///
/// # Errors
/// 404 when there is no such broadcast.
#[utoipa::path(
    get, path = "/v1/broadcasts/{broadcastId}", tag = "push", operation_id = "getBroadcast",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = BroadcastBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    Viewer(app): Viewer,
    ApiPath(broadcast): ApiPath<BroadcastId>,
) -> Result<Json<BroadcastBody>, Problem> {
    Ok(Json(broadcasts::get(&app, &broadcast).await?.into()))
}
