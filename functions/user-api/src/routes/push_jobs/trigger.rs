use af_api::problem::IdempotencyHeader;
use af_api::push::PushDispatchBody;
use af_app::intake::idempotency;
use af_app::push::jobs::{self, JobPlace};
use af_app::push::trigger as use_case;
use af_domain::ids::{AgentKey, ConsumerUserId, PushJobId};
use af_http::{ApiPath, IdempotencyKey, Json, Problem, StatusCode};

use crate::caller::ConsumerApp;

/// Runs a push job now, also a disabled one. Its schedule does not move. A repeated call with the same `Idempotency-Key`
/// within a day gets the same dispatch.
///
/// # Errors
/// 404 when the user has no such push job or no active agent, 409 when the agent is not the active one or is disabled, 422
/// when the idempotency key came with another request, 429 when too many messages wait. A refused call writes nothing.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/agents/{agentKey}/push-jobs/{pushJobId}/trigger", tag = "push",
    operation_id = "triggerPushJob",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(IdempotencyHeader),
    responses(
        (status = 202, body = PushDispatchBody), (status = 404, description = "not_found"),
        (status = 409, description = "conflict, agent_disabled"),
        (status = 422, description = "idempotency_mismatch"), (status = 429, description = "queue_full"),
    ),
)]
pub async fn trigger(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent, id)): ApiPath<(ConsumerUserId, AgentKey, PushJobId)>,
    key: Option<IdempotencyKey>,
) -> Result<(StatusCode, Json<PushDispatchBody>), Problem> {
    let place = JobPlace { user, agent, id };
    jobs::require_reached(&app, &place, &caller).await?;
    let once = key.map(|key| {
        let body = ["push-trigger", place.user.as_str(), place.agent.as_str(), place.id.as_str()];
        idempotency::call(&app, &caller.key_id, key.as_str(), &body)
    });
    let dispatch = use_case::trigger(&app, &place, once.as_ref()).await?;
    Ok((StatusCode::ACCEPTED, Json(dispatch.into())))
}
