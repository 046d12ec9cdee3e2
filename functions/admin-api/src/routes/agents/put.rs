use af_api::agents::{AgentBody, AgentRequest};
use af_app::agents::profiles::{AgentSettings, configure};
use af_domain::ids::AgentKey;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Operator;

/// Configures an agent; its bot stays.
///
/// # Errors
/// 422 naming the field at fault.
#[utoipa::path(
    put, path = "/v1/agents/{agentKey}",
    operation_id = "configureAgent", tag = "agents",
    security(("apiKey" = ["admin"])), request_body = inline(AgentRequest),
    responses((status = 200, body = AgentBody)),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiPath(agent): ApiPath<AgentKey>,
    ApiJson(request): ApiJson<AgentRequest>,
) -> Result<Json<AgentBody>, Problem> {
    let settings = AgentSettings {
        display_name: request.display_name,
        version: request.version,
        enabled: request.enabled,
        secrets_ref: request.secrets_ref.into_iter().map(|name| name.0).collect(),
        bridge: request.bridge_config.map(Into::into),
    };
    Ok(Json(configure(&app, &agent, settings).await?.into()))
}
