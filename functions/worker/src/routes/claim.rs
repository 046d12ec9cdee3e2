use af_api::worker::poll::{ClaimAnswer, ClaimRequest};
use af_app::worker::claim as use_case;
use af_http::{ApiJson, Json, Problem, PublicUrl};

use crate::caller::Caller;
use crate::conversions::{self, Timing};
use crate::download_links::payload_with_links;

/// Claims a message. If the caller already runs one, the answer is that message again, at most three times for each
/// lease.
///
/// # Errors
/// 401 without a valid worker token.
#[utoipa::path(
    post, path = "/v1/worker/claim",
    operation_id = "workerClaim", tag = "worker",
    security(("workerToken" = [])), request_body = inline(ClaimRequest),
    responses((status = 200, body = inline(ClaimAnswer))),
)]
pub async fn claim(
    Caller { app, worker, .. }: Caller,
    url: PublicUrl,
    ApiJson(request): ApiJson<ClaimRequest>,
) -> Result<Json<ClaimAnswer>, Problem> {
    let only = request.conversation_id.as_ref().map(|id| &id.0);
    let job = use_case(&app, &worker, only, false).await?;
    let Some(job) = job else { return Ok(Json(ClaimAnswer { job: None })) };
    let payload = payload_with_links(&app, &url, job.payload.clone()).await;
    let timing = Timing::in_force(&app).await?;
    Ok(Json(ClaimAnswer { job: Some(conversions::job(&job, payload, timing)) }))
}
