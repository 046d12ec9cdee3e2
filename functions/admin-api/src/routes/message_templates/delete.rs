use af_app::intake::templates;
use af_domain::ids::TemplateKey;
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::Operator;

/// Deletes a message template. Messages that were sent with it stay.
///
/// # Errors
/// 404 when there is no such template.
#[utoipa::path(
    delete, path = "/v1/message-templates/{templateKey}",
    operation_id = "deleteMessageTemplate", tag = "templates",
    security(("apiKey" = ["admin"])),
    responses((status = 204), (status = 404, description = "not_found")),
)]
pub async fn delete(
    Operator { app, .. }: Operator,
    ApiPath(key): ApiPath<TemplateKey>,
) -> Result<StatusCode, Problem> {
    templates::delete(&app, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
