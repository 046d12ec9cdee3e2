use af_app::push::jobs::{self, JobPlace};
use af_domain::ids::{AgentKey, ConsumerUserId, PushJobId};
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::ConsumerApp;

/// Deletes a push job. Its messages and its dispatches are kept.
///
/// # Errors
/// 404 when the user has no such push job with this agent.
#[utoipa::path(
    delete, path = "/v1/users/{consumerUserId}/agents/{agentKey}/push-jobs/{pushJobId}", tag = "push",
    operation_id = "deletePushJob",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 204), (status = 404, description = "not_found")),
)]
pub async fn delete(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent, id)): ApiPath<(ConsumerUserId, AgentKey, PushJobId)>,
) -> Result<StatusCode, Problem> {
    let place = JobPlace { user, agent, id };
    jobs::require_reached(&app, &place, &caller).await?;
    jobs::delete(&app, &place).await?;
    Ok(StatusCode::NO_CONTENT)
}
