use af_api::templates::{MessageTemplateBody, MessageTemplateRequest};
use af_app::intake::templates;
use af_domain::ids::TemplateKey;
use af_domain::template::TemplateContent;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Operator;

/// Changes the content of a message template. Its key and its number of uses stay.
///
/// # Errors
/// 404 when there is no such template, 422 naming the field at fault.
#[utoipa::path(
    put, path = "/v1/message-templates/{templateKey}",
    operation_id = "updateMessageTemplate", tag = "templates",
    security(("apiKey" = ["admin"])), request_body = inline(MessageTemplateRequest),
    responses((status = 200, body = MessageTemplateBody), (status = 404, description = "not_found")),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiPath(key): ApiPath<TemplateKey>,
    ApiJson(request): ApiJson<MessageTemplateRequest>,
) -> Result<Json<MessageTemplateBody>, Problem> {
    let content = TemplateContent::new(&request.title, request.content, &request.tags)?;
    Ok(Json(templates::change(&app, &key, &content).await?.into()))
}
