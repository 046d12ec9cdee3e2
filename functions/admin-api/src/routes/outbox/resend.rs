use af_api::outbox::ResendAnswer;
use af_app::outbox;
use af_domain::ids::MessageId;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Operator;

/// Sends the whole reply of a message to Telegram again, behind what waits for its chat. The person may then have parts of
/// it twice.
///
/// # Errors
/// 404 when there is no such message; 409 when it has no reply, its reply does not go to Telegram or still waits, or too
/// many messages wait for the chat. Nothing is written then.
#[utoipa::path(
    post, path = "/v1/messages/{messageId}/resend",
    operation_id = "resendReply", tag = "outbox",
    security(("apiKey" = ["admin"])),
    responses(
        (status = 200, body = inline(ResendAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn resend(
    Operator { app, .. }: Operator,
    ApiPath(id): ApiPath<MessageId>,
) -> Result<Json<ResendAnswer>, Problem> {
    let chat = outbox::resend(&app, &id).await?;
    Ok(Json(ResendAnswer { message_id: id.to_string(), chat: chat.to_string() }))
}
