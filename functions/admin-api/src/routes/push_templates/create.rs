use af_api::push::{PushTemplateBody, PushTemplateChange, PushTemplateRequest};
use af_app::push::templates;
use af_domain::ids::CompanyId;
use af_http::{ApiJson, Json, Problem, StatusCode};

use super::settings::settings;
use crate::caller::Operator;

/// Creates a push template of a company.
///
/// # Errors
/// 409 when the company has a template with this key, 422 naming the field at fault.
#[utoipa::path(
    post, path = "/v1/push-templates", tag = "push", operation_id = "createPushTemplate",
    security(("apiKey" = ["admin"])), request_body = PushTemplateRequest,
    responses(
        (status = 201, body = PushTemplateBody), (status = 409, description = "already_exists"),
        (status = 422, description = "invalid_field"),
    ),
)]
pub async fn create(
    Operator { app, caller }: Operator,
    ApiJson(request): ApiJson<PushTemplateRequest>,
) -> Result<(StatusCode, Json<PushTemplateBody>), Problem> {
    let PushTemplateRequest { company_id, template_key, title, text, periodicity, suggested_times, enabled } =
        request;
    let settings = settings(PushTemplateChange { title, text, periodicity, suggested_times, enabled })?;
    let company = company_id.map_or_else(CompanyId::unnamed, |id| id.0);
    let made = templates::create(&app, company, template_key.0, settings, &caller.key_id).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}
