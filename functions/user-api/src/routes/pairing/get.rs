use af_api::pairing::PairingBody;
use af_app::agents::pairing::newest;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows the newest pairing code of a user and an agent.
///
/// # Errors
/// 404 when there is none, or it expired more than a day ago.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/pairing",
    operation_id = "getUserAgentPairingStatus", tag = "pairing",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = PairingBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
) -> Result<Json<PairingBody>, Problem> {
    Ok(Json(PairingBody::at(newest(&app, &user, &agent).await?, app.now())))
}
