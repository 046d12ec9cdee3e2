use af_api::id::Id;
use af_api::problem::IdempotencyHeader;
use af_api::queue::{RetryAllAnswer, RetryAllRequest};
use af_app::intake::idempotency;
use af_app::queue::{Which, retry_all as use_case};
use af_domain::refusal::Refusal;
use af_http::{ApiJson, IdempotencyKey, Json, Problem};

use crate::caller::Operator;
use crate::paging;

/// Queues dead letters again, oldest first. A series of calls retries each message once, also one that becomes a dead
/// letter again meanwhile; so does one `Idempotency-Key`. A repeated call with the same key and cursor within a day gets the
/// same answer.
///
/// # Errors
/// 409 when the same call is carried out at the moment. 422 unless exactly one of `conversationId` and `agentKey` is given,
/// for a cursor of another series, and when the idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/queue/retry",
    operation_id = "retryDeadLetters", tag = "queue",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader), request_body = inline(RetryAllRequest),
    responses(
        (status = 200, body = inline(RetryAllAnswer)), (status = 409, description = "conflict"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn retry_all(
    Operator { app, caller }: Operator,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<RetryAllRequest>,
) -> Result<Json<RetryAllAnswer>, Problem> {
    let which = match (request.conversation_id, request.agent_key) {
        (Some(Id(conversation)), None) => Which::Conversation(conversation),
        (None, Some(Id(agent))) => Which::Agent(agent),
        (Some(_), Some(_)) | (None, None) => {
            let detail = "give either conversationId or agentKey";
            return Err(Refusal::field("/conversationId", detail).into());
        }
    };
    let walk = match &which {
        Which::Conversation(conversation) => format!("retry conversation {conversation}"),
        Which::Agent(agent) => format!("retry agent {agent}"),
    };
    let after = paging::after(&app, &walk, request.cursor.as_deref()).await?;
    let key = key.as_ref().map(|key| (caller.key_id.as_str(), key.as_str()));
    // Each page of a series is a call of its own, under the same key.
    let once = key.map(|(caller, key)| {
        let page = match &after {
            Some(after) => format!("{key} {after}"),
            None => key.to_owned(),
        };
        idempotency::call(&app, caller, &page, &["retry-all", &walk])
    });
    let retried = use_case(&app, &which, after.as_deref(), key);
    let mut answer = idempotency::answered_once(&app, once.as_ref(), retried).await?;
    answer.next_cursor = paging::seal(&app, &walk, answer.next_cursor).await?;
    Ok(Json(answer))
}
