use af_api::push::PushJobBody;
use af_app::push::jobs::{self, JobPlace};
use af_domain::ids::{AgentKey, ConsumerUserId, PushJobId};
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows a push job.
///
/// # Errors
/// 404 when the user has no such push job with this agent.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/push-jobs/{pushJobId}", tag = "push",
    operation_id = "getPushJob",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = PushJobBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent, id)): ApiPath<(ConsumerUserId, AgentKey, PushJobId)>,
) -> Result<Json<PushJobBody>, Problem> {
    let place = JobPlace { user, agent, id };
    Ok(Json(jobs::reached(&app, &place, &caller).await?.into()))
}
