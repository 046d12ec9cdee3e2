use af_api::messages::{AttemptBody, MessageWithAttempts};
use af_app::conversations::read_models::message;
use af_domain::ids::MessageId;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Shows a message with its state as it is now.
///
/// # Errors
/// 404 when there is no such message.
#[utoipa::path(
    get, path = "/v1/messages/{messageId}",
    operation_id = "getMessage", tag = "messages",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(MessageWithAttempts)), (status = 404, description = "not_found")),
)]
pub async fn get(
    Viewer(app): Viewer,
    ApiPath(id): ApiPath<MessageId>,
) -> Result<Json<MessageWithAttempts>, Problem> {
    let mut view = message(&app, &id).await?;
    let ended = view.message.attempt_log.clone().into_iter().map(AttemptBody::from);
    let attempt_log = ended.chain(view.running.take().map(AttemptBody::from)).collect();
    Ok(Json(MessageWithAttempts { message: view.into(), attempt_log }))
}
