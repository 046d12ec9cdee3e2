use af_api::user_messages::{UserMessageBody, WaitQuery};
use af_app::conversations::read_models::ended_message_of_user;
use af_domain::ids::{ConsumerUserId, MessageId};
use af_domain::time::Millis;
use af_http::{ApiPath, ApiQuery, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows a message of one of the user's conversations. With `waitMs`, the answer comes when the message has ended, or after
/// that time.
///
/// # Errors
/// 404 when the user has no such message.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/messages/{messageId}",
    operation_id = "getUserMessage", tag = "messages",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(WaitQuery),
    responses((status = 200, body = UserMessageBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, id)): ApiPath<(ConsumerUserId, MessageId)>,
    ApiQuery(query): ApiQuery<WaitQuery>,
) -> Result<Json<UserMessageBody>, Problem> {
    let wait = Millis::new(query.wait_ms.get());
    Ok(Json(ended_message_of_user(&app, &user, &id, wait).await?.into()))
}
