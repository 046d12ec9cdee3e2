use af_api::problem::IdempotencyHeader;
use af_api::queue::RetryAnswer;
use af_app::intake::idempotency;
use af_app::queue::retry as use_case;
use af_domain::ids::MessageId;
use af_http::{ApiPath, IdempotencyKey, Json, Problem};

use crate::caller::Operator;

/// Queues a dead letter again, behind all messages that wait in its conversation. A repeated call with the same
/// `Idempotency-Key` within a day gets the same answer, whatever happened to the message meanwhile.
///
/// # Errors
/// 404 when there is no such message, or its agent is deleted; 409 when it is no dead letter, its agent is disabled, or the
/// same call is carried out at the moment; 422 when the idempotency key came with another request; 429 when its
/// conversation has too many messages waiting. Nothing is written then.
#[utoipa::path(
    post, path = "/v1/queue/{messageId}/retry",
    operation_id = "retryMessage", tag = "queue",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader),
    responses(
        (status = 200, body = inline(RetryAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict, agent_disabled"),
        (status = 422, description = "idempotency_mismatch"), (status = 429, description = "queue_full"),
    ),
)]
pub async fn retry(
    Operator { app, caller }: Operator,
    ApiPath(id): ApiPath<MessageId>,
    key: Option<IdempotencyKey>,
) -> Result<Json<RetryAnswer>, Problem> {
    let key = key.as_ref().map(|key| (caller.key_id.as_str(), key.as_str()));
    let once = key.map(|(caller, key)| idempotency::call(&app, caller, key, &["retry", id.as_str()]));
    let retried = async {
        use_case(&app, &id, key).await?;
        Ok(RetryAnswer { message_id: id.to_string(), status: "queued".to_owned() })
    };
    Ok(Json(idempotency::answered_once(&app, once.as_ref(), retried).await?))
}
