use af_api::secrets::{RequiredSecrets, SecretBody};
use af_app::agents::onboarding::required_secrets;
use af_domain::ids::AgentKey;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Lists the secrets that a profile and its bridge name, and which of them have no value.
///
/// # Errors
/// 404 when there is no such agent.
#[utoipa::path(
    get, path = "/v1/agents/{agentKey}/required-secrets",
    operation_id = "listRequiredSecrets", tag = "agents",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(RequiredSecrets)), (status = 404, description = "not_found")),
)]
pub async fn get(
    Viewer(app): Viewer,
    ApiPath(agent): ApiPath<AgentKey>,
) -> Result<Json<RequiredSecrets>, Problem> {
    let found = required_secrets(&app, &agent).await?;
    let missing =
        found.iter().filter(|secret| !secret.has_active).map(|secret| secret.secret_ref.to_string());
    let missing = missing.collect();
    let items = found.into_iter().map(|secret| SecretBody {
        secret_ref: secret.secret_ref.to_string(),
        has_active: secret.has_active,
        version: secret.version,
    });
    Ok(Json(RequiredSecrets { agent_key: agent.to_string(), items: items.collect(), missing }))
}
