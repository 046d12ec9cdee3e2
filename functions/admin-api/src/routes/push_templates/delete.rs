use af_app::push::templates;
use af_domain::ids::{CompanyId, PushTemplateKey};
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::Operator;

/// Deletes a push template. Push jobs that were made from it are kept.
///
/// # Errors
/// 404 when the company has no such template.
#[utoipa::path(
    delete, path = "/v1/push-templates/{companyId}/{templateKey}", tag = "push",
    operation_id = "deletePushTemplate",
    security(("apiKey" = ["admin"])),
    responses((status = 204), (status = 404, description = "not_found")),
)]
pub async fn delete(
    Operator { app, .. }: Operator,
    ApiPath((company, key)): ApiPath<(CompanyId, PushTemplateKey)>,
) -> Result<StatusCode, Problem> {
    templates::delete(&app, &company, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
