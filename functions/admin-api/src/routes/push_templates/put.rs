use af_api::push::{PushTemplateBody, PushTemplateChange};
use af_app::push::templates;
use af_domain::ids::{CompanyId, PushTemplateKey};
use af_http::{ApiJson, ApiPath, Json, Problem};

use super::settings::settings;
use crate::caller::Operator;

/// Replaces the settings of a push template. Push jobs that were made from it do not change.
///
/// # Errors
/// 404 when the company has no such template, 422 naming the field at fault.
#[utoipa::path(
    put, path = "/v1/push-templates/{companyId}/{templateKey}", tag = "push",
    operation_id = "updatePushTemplate",
    security(("apiKey" = ["admin"])), request_body = PushTemplateChange,
    responses(
        (status = 200, body = PushTemplateBody), (status = 404, description = "not_found"),
        (status = 422, description = "invalid_field"),
    ),
)]
pub async fn put(
    Operator { app, caller }: Operator,
    ApiPath((company, key)): ApiPath<(CompanyId, PushTemplateKey)>,
    ApiJson(request): ApiJson<PushTemplateChange>,
) -> Result<Json<PushTemplateBody>, Problem> {
    Ok(Json(templates::change(&app, &company, &key, settings(request)?, &caller.key_id).await?.into()))
}
