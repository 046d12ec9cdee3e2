use af_api::messages::DeliveryPart;
use af_api::outbox::DropAnswer;
use af_app::outbox;
use af_domain::outbox::Chat;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Operator;

/// Removes the message that is sent next from the outbox of a chat. A reply stays readable with its message.
///
/// # Errors
/// 404 when nothing waits for the chat; 409 while a part of the message is being sent.
#[utoipa::path(
    delete, path = "/v1/outbox/{chat}",
    operation_id = "dropFromOutbox", tag = "outbox",
    security(("apiKey" = ["admin"])),
    responses(
        (status = 200, body = inline(DropAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn drop(
    Operator { app, .. }: Operator,
    ApiPath(chat): ApiPath<Chat>,
) -> Result<Json<DropAnswer>, Problem> {
    let dropped = outbox::drop_first(&app, &chat).await?;
    Ok(Json(DropAnswer {
        chat: chat.to_string(),
        message_id: dropped.message.map(|id| id.to_string()),
        parts: dropped.parts.into_iter().map(DeliveryPart::from).collect(),
    }))
}
