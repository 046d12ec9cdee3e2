use af_api::outbox::ResendAnswer;
use af_api::problem::IdempotencyHeader;
use af_app::intake::idempotency;
use af_app::outbox;
use af_domain::ids::MessageId;
use af_http::{ApiPath, IdempotencyKey, Json, Problem};

use crate::caller::Operator;

/// Sends the whole reply of a message to Telegram again, behind what waits for its chat. The person may then have parts of
/// it twice. A repeated call with the same `Idempotency-Key` within a day sends nothing and gets the same answer.
///
/// # Errors
/// 404 when there is no such message; 409 when it has no reply, its reply does not go to Telegram or still waits, or too
/// many messages wait for the chat; 422 when the idempotency key came with another request. Nothing is written then.
#[utoipa::path(
    post, path = "/v1/messages/{messageId}/resend",
    operation_id = "resendReply", tag = "outbox",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader),
    responses(
        (status = 200, body = inline(ResendAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"), (status = 422, description = "idempotency_mismatch"),
    ),
)]
pub async fn resend(
    Operator { app, caller }: Operator,
    ApiPath(id): ApiPath<MessageId>,
    key: Option<IdempotencyKey>,
) -> Result<Json<ResendAnswer>, Problem> {
    let once = key.map(|key| idempotency::call(&app, &caller.key_id, key.as_str(), &["resend", id.as_str()]));
    let chat = outbox::resend(&app, &id, once.as_ref()).await?;
    Ok(Json(ResendAnswer { message_id: id.to_string(), chat: chat.to_string() }))
}
