use af_api::messages::CancelBody;
use af_app::queue::{Cancelled, cancel as use_case};
use af_domain::ids::MessageId;
use af_http::{ApiPath, Json, Problem, StatusCode};

use crate::caller::Operator;

/// Cancels a message, also a dead letter: 200 when it has ended, 202 when it runs; its worker learns of the cancellation
/// with its next heartbeat. The answer is the same for a message that was cancelled before.
///
/// # Errors
/// 404 when there is no such message, 409 when it is done.
#[utoipa::path(
    post, path = "/v1/queue/{messageId}/cancel",
    operation_id = "cancelMessage", tag = "queue",
    security(("apiKey" = ["admin"])),
    responses(
        (status = 200, body = CancelBody), (status = 202, body = CancelBody),
        (status = 404, description = "not_found"), (status = 409, description = "conflict"),
    ),
)]
pub async fn cancel(
    Operator { app, .. }: Operator,
    ApiPath(id): ApiPath<MessageId>,
) -> Result<(StatusCode, Json<CancelBody>), Problem> {
    let cancelling = use_case(&app, &id).await? == Cancelled::WhenItsAttemptEnds;
    let status = if cancelling { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(CancelBody::new(&id, cancelling))))
}
