use af_api::push::PushTemplateBody;
use af_app::push::templates;
use af_domain::ids::{CompanyId, PushTemplateKey};
use af_http::{ApiPath, Json, Problem};

use crate::caller::AnyKey;

/// Shows a push template.
///
/// # Errors
/// 404 when the company has no such template.
#[utoipa::path(
    get, path = "/v1/push-templates/{companyId}/{templateKey}", tag = "push",
    operation_id = "getPushTemplate",
    security(("apiKey" = ["admin", "read", "app"])),
    responses((status = 200, body = PushTemplateBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    AnyKey { app, caller }: AnyKey,
    ApiPath((company, key)): ApiPath<(CompanyId, PushTemplateKey)>,
) -> Result<Json<PushTemplateBody>, Problem> {
    caller.company_of(Some(company.clone()))?;
    Ok(Json(templates::get(&app, &company, &key).await?.into()))
}
