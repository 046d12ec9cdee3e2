use af_api::problem::IdempotencyHeader;
use af_api::push::{PushTemplateBody, PushTemplateChange, PushTemplateRequest};
use af_app::intake::idempotency;
use af_app::push::templates;
use af_domain::ids::CompanyId;
use af_http::{ApiJson, IdempotencyKey, Json, Problem, StatusCode};

use super::settings::settings;
use crate::caller::Operator;

/// Creates a push template of a company. A repeated call with the same `Idempotency-Key` within a day gets the same
/// template.
///
/// # Errors
/// 404 when the template that the call made is deleted, 409 when the company has a template with this key, 422 naming the
/// field at fault, or when the idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/push-templates", tag = "push", operation_id = "createPushTemplate",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader), request_body = PushTemplateRequest,
    responses(
        (status = 201, body = PushTemplateBody), (status = 404, description = "not_found"),
        (status = 409, description = "already_exists"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn create(
    Operator { app, caller }: Operator,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<PushTemplateRequest>,
) -> Result<(StatusCode, Json<PushTemplateBody>), Problem> {
    let once = key.map(|key| {
        let said = serde_json::to_string(&request).expect("a request is JSON");
        idempotency::call(&app, &caller.key_id, key.as_str(), &["push-template", &said])
    });
    let PushTemplateRequest { company_id, template_key, title, text, periodicity, suggested_times, enabled } =
        request;
    let settings = settings(PushTemplateChange { title, text, periodicity, suggested_times, enabled })?;
    let company = company_id.map_or_else(CompanyId::unnamed, |id| id.0);
    let made =
        templates::create(&app, company, template_key.0, settings, &caller.key_id, once.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}
