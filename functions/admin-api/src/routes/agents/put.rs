//! `PUT /v1/agents/{agentKey}`: makes or changes a profile.

use af_app::agents::profiles::{AgentSettings, configure};
use af_domain::ids::{AgentKey, SecretRef};
use af_http::{ApiJson, ApiPath, Id, Problem};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{AgentBody, BridgeConfigBody};
use crate::Shared;
use crate::caller::Operator;

/// What is set. What is left out goes back to its default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// What people see.
    #[serde(default)]
    display_name: Option<String>,
    /// Its version, in its author's words.
    version: String,
    /// Whether it takes messages.
    #[serde(default = "yes")]
    enabled: bool,
    /// Names of the secrets it uses.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    secrets_ref: Vec<Id<SecretRef>>,
    /// How its skills reach the tools of its app.
    #[serde(default)]
    bridge_config: Option<BridgeConfigBody>,
}

const fn yes() -> bool {
    true
}

/// Configures an agent; its bot stays.
///
/// # Errors
/// 422 naming the field at fault.
#[utoipa::path(
    put, path = "/v1/agents/{agentKey}", tag = "agents",
    security(("apiKey" = ["admin"])), request_body = inline(Request),
    responses((status = 200, body = AgentBody)),
)]
pub async fn put(
    State(app): State<Shared>,
    _: Operator,
    ApiPath(agent): ApiPath<AgentKey>,
    ApiJson(request): ApiJson<Request>,
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
