use af_api::worker::outcome::{FailAnswer, FailRequest};
use af_app::worker::{self as use_case, Report, Retry};
use af_domain::ids::MessageId;
use af_domain::time::Millis;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Caller;
use crate::conversions::{lease, usage};

/// Gives a message back.
///
/// # Errors
/// 409 `stale_lease` when the lease is no longer in force; then nothing was written.
#[utoipa::path(
    post, path = "/v1/worker/messages/{messageId}/fail",
    operation_id = "workerFail", tag = "worker",
    security(("workerToken" = [])), request_body = inline(FailRequest),
    responses((status = 200, body = inline(FailAnswer)), (status = 409, description = "stale_lease")),
)]
pub async fn fail(
    Caller { app, worker, .. }: Caller,
    ApiPath(message): ApiPath<MessageId>,
    ApiJson(request): ApiJson<FailRequest>,
) -> Result<Json<FailAnswer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    let report = Report { error: &request.error_message, usage: usage(request.usage)? };
    let answer = if request.drained {
        use_case::leave(&app, &worker, &message, &lease, report).await?
    } else {
        let asked = request.retry_after_ms.map(Millis::new);
        let retry = if request.retryable { Retry::After(asked) } else { Retry::Never };
        use_case::fail(&app, &worker, &message, &lease, report, retry).await?
    };
    Ok(Json(answer))
}
