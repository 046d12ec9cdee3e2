//! `GET /v1/users/{consumerUserId}/messages/{messageId}`: status, attempts, error and reply of one message.

use af_api::messages::MessageBody;
use af_app::conversations::read_models::message_of_user;
use af_domain::ids::{ConsumerUserId, MessageId};
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;

use crate::caller::ConsumerApp;
use crate::state::Shared;

/// Shows a message of one of the user's conversations.
///
/// # Errors
/// 404 when the user has no such message.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/messages/{messageId}", tag = "messages",
    security(("apiKey" = ["admin", "app"])),
    responses((status = 200, body = MessageBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    State(app): State<Shared>,
    _: ConsumerApp,
    ApiPath((user, id)): ApiPath<(ConsumerUserId, MessageId)>,
) -> Result<Json<MessageBody>, Problem> {
    Ok(Json(message_of_user(&app, &user, &id).await?.into()))
}
