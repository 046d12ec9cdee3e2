use af_api::problem::IdempotencyHeader;
use af_api::push::{PushJobBody, PushJobRequest};
use af_app::intake::idempotency;
use af_app::push::jobs::{self, NewJob};
use af_domain::ids::{AgentKey, CompanyId, ConsumerUserId};
use af_domain::refusal::Refusal;
use af_http::{ApiJson, ApiPath, IdempotencyKey, Json, Problem, StatusCode};

use crate::caller::ConsumerApp;

/// Creates a push job: a message to the agent of the user at a set time. A repeated call with the same `Idempotency-Key`
/// within a day gets the same job.
///
/// # Errors
/// 403 for another company than that of the key, 404 when the user has no active agent, 409 when the agent is not the active one or has too many push jobs of the user, 422
/// naming the field at fault, or when the idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/agents/{agentKey}/push-jobs", tag = "push",
    operation_id = "createPushJob",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(IdempotencyHeader), request_body = PushJobRequest,
    responses(
        (status = 201, body = PushJobBody), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn create(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<PushJobRequest>,
) -> Result<(StatusCode, Json<PushJobBody>), Problem> {
    let once = key.map(|key| {
        let said = serde_json::to_string(&request).unwrap_or_default();
        let mut body = vec!["push-job", user.as_str(), agent.as_str(), &said];
        // The tokens of a user share their idempotency keys, also those that keys of different companies have made.
        body.extend(caller.company.as_ref().map(CompanyId::as_str));
        idempotency::call(&app, &caller.key_id, key.as_str(), &body)
    });
    let mut new = new_job(request)?;
    new.company = caller.company_of(new.company)?;
    let job = jobs::create(&app, &user, &agent, new, once.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(job.into())))
}

fn new_job(request: PushJobRequest) -> Result<NewJob, Refusal> {
    Ok(NewJob {
        company: request.company_id.map(|id| id.0),
        template: request.source_template_id.map(|id| id.0),
        title: request.title,
        text: request.text,
        periodicity: request.periodicity.map(Into::into),
        timezone: request.timezone,
        schedule: request.schedule.map(|schedule| schedule.schedule("/schedule")).transpose()?,
        enabled: request.enabled.unwrap_or(true),
    })
}
