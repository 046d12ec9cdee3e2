use af_api::messages::MessageBody;
use af_app::conversations::read_models::message_of_user;
use af_domain::ids::{ConsumerUserId, MessageId};
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows a message of one of the user's conversations.
///
/// # Errors
/// 404 when the user has no such message.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/messages/{messageId}",
    operation_id = "getUserMessage", tag = "messages",
    security(("apiKey" = ["admin", "app"])),
    responses((status = 200, body = MessageBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, id)): ApiPath<(ConsumerUserId, MessageId)>,
) -> Result<Json<MessageBody>, Problem> {
    Ok(Json(message_of_user(&app, &user, &id).await?.into()))
}
