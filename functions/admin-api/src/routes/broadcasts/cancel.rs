use af_api::broadcasts::BroadcastBody;
use af_app::push::broadcasts;
use af_domain::ids::BroadcastId;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Operator;

/// Cancels a running broadcast. It stops after at most 100 further targets. Targets that have their message keep it.
///
/// # Errors
/// 404 when there is no such broadcast, 409 when it has ended.
#[utoipa::path(
    post, path = "/v1/broadcasts/{broadcastId}/cancel", tag = "push", operation_id = "cancelBroadcast",
    security(("apiKey" = ["admin"])),
    responses(
        (status = 200, body = BroadcastBody), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn cancel(
    Operator { app, .. }: Operator,
    ApiPath(broadcast): ApiPath<BroadcastId>,
) -> Result<Json<BroadcastBody>, Problem> {
    Ok(Json(broadcasts::cancel(&app, &broadcast).await?.into()))
}
