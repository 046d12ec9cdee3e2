use af_api::problem::IdempotencyHeader;
use af_api::templates::{MessageTemplateBody, MessageTemplateRequest};
use af_app::intake::{idempotency, templates};
use af_domain::template::TemplateContent;
use af_http::{ApiJson, IdempotencyKey, Json, Problem, StatusCode};

use crate::caller::Operator;

/// Makes a message template. Its key follows from the title. A repeated call with the same `Idempotency-Key` within a day gets
/// the same template.
///
/// # Errors
/// 409 when a template has this key already, or there are 500 templates; 422 naming the field at fault, or when the
/// idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/message-templates",
    operation_id = "createMessageTemplate", tag = "templates",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader), request_body = inline(MessageTemplateRequest),
    responses(
        (status = 201, body = MessageTemplateBody), (status = 404, description = "not_found"),
        (status = 409, description = "already_exists, conflict"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn create(
    Operator { app, caller }: Operator,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<MessageTemplateRequest>,
) -> Result<(StatusCode, Json<MessageTemplateBody>), Problem> {
    let content = TemplateContent::new(&request.title, request.content, &request.tags)?;
    let once = key.map(|key| {
        let mut body = vec!["message template", content.title.as_str(), content.content.as_str()];
        body.extend(content.tags.iter().map(String::as_str));
        idempotency::call(&app, &caller.key_id, key.as_str(), &body)
    });
    let made = templates::make(&app, content, once.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}
