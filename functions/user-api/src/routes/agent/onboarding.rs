use af_api::onboarding::OnboardingBody;
use af_app::agents::onboarding::state;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows how far the onboarding of a user with an agent on Telegram is, and the next step.
///
/// # Errors
/// 422 for an id that breaks its rule.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/onboarding",
    operation_id = "getUserAgentOnboardingState", tag = "pairing",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = OnboardingBody)),
)]
pub async fn onboarding(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
) -> Result<Json<OnboardingBody>, Problem> {
    Ok(Json(state(&app, &user, &agent).await?))
}
