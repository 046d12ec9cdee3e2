use af_api::snapshots::SnapshotBody;
use af_app::files::snapshots::latest_of_user;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows the latest good snapshot.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/snapshots/latest",
    operation_id = "getLatestSnapshotForUserAgent", tag = "snapshots",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = SnapshotBody), (status = 404, description = "not_found")),
)]
pub async fn latest(
    ConsumerApp { app, objects, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
) -> Result<Json<SnapshotBody>, Problem> {
    Ok(Json(latest_of_user(&app, &objects, &user, &agent).await?))
}
