use af_api::messages::CancelBody;
use af_app::queue::{Cancelled, cancel_of_user};
use af_domain::ids::{ConsumerUserId, MessageId};
use af_http::{ApiPath, Json, Problem, StatusCode};

use crate::caller::ConsumerApp;

/// Cancels a message of one of the user's conversations: 200 when it has ended, 202 when it runs; its worker learns of
/// the cancellation with its next heartbeat. The answer is the same for a message that was cancelled before.
///
/// # Errors
/// 404 when the user has no such message; 409 when it is done.
#[utoipa::path(
    delete, path = "/v1/users/{consumerUserId}/messages/{messageId}",
    operation_id = "cancelUserMessage", tag = "messages",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses(
        (status = 200, body = CancelBody), (status = 202, body = CancelBody),
        (status = 404, description = "not_found"), (status = 409, description = "conflict"),
    ),
)]
pub async fn cancel(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, id)): ApiPath<(ConsumerUserId, MessageId)>,
) -> Result<(StatusCode, Json<CancelBody>), Problem> {
    let cancelling = cancel_of_user(&app, &user, &id).await? == Cancelled::WhenItsAttemptEnds;
    let status = if cancelling { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(CancelBody::new(&id, cancelling))))
}
