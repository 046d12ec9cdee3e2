use af_api::push::{PushJobBody, PushJobChange};
use af_app::push::jobs::{self, JobChange, JobPlace};
use af_domain::ids::{AgentKey, ConsumerUserId, PushJobId};
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Changes a push job. A field that the request does not name keeps its value. A new schedule, time zone or state computes the
/// next run again.
///
/// # Errors
/// 404 when the user has no such push job with this agent, 422 naming the field at fault.
#[utoipa::path(
    patch, path = "/v1/users/{consumerUserId}/agents/{agentKey}/push-jobs/{pushJobId}", tag = "push",
    operation_id = "updatePushJob",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), request_body = PushJobChange,
    responses(
        (status = 200, body = PushJobBody), (status = 404, description = "not_found"),
        (status = 422, description = "invalid_field"),
    ),
)]
pub async fn change(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent, id)): ApiPath<(ConsumerUserId, AgentKey, PushJobId)>,
    ApiJson(request): ApiJson<PushJobChange>,
) -> Result<Json<PushJobBody>, Problem> {
    let place = JobPlace { user, agent, id };
    jobs::require_reached(&app, &place, &caller).await?;
    let change = JobChange {
        title: request.title,
        text: request.text,
        periodicity: request.periodicity.map(Into::into),
        timezone: request.timezone,
        schedule: request.schedule.map(|schedule| schedule.schedule("/schedule")).transpose()?,
        enabled: request.enabled,
    };
    Ok(Json(jobs::change(&app, &place, &change).await?.into()))
}
