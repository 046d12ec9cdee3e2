use af_api::templates::MessageTemplateBody;
use af_app::intake::templates;
use af_domain::ids::TemplateKey;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Shows a message template.
///
/// # Errors
/// 404 when there is no such template.
#[utoipa::path(
    get, path = "/v1/message-templates/{templateKey}",
    operation_id = "getMessageTemplate", tag = "templates",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = MessageTemplateBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    Viewer(app): Viewer,
    ApiPath(key): ApiPath<TemplateKey>,
) -> Result<Json<MessageTemplateBody>, Problem> {
    Ok(Json(templates::get(&app, &key).await?.into()))
}
