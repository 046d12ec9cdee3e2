//! `POST /v1/worker/claim`: the next message, without its bundle.

use af_app::worker::claim as use_case;
use af_domain::ids::ConversationId;
use af_http::{ApiJson, Id, Problem, PublicUrl};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;
use crate::files::handed_out;
use crate::job::{JobBody, Timing};

/// What a worker wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Only a message of this conversation; left out, of its own, or of any that nobody owns.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    conversation_id: Option<Id<ConversationId>>,
}

/// What a worker is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    /// Null when there is none for it, or it is told to stop.
    job: Option<JobBody>,
}

/// Claims a message. One that the caller runs already is answered again, at most three times a lease.
///
/// # Errors
/// 401 without a valid worker token.
#[utoipa::path(
    post, path = "/v1/worker/claim", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses((status = 200, body = inline(Answer))),
)]
pub async fn claim(
    State(app): State<Shared>,
    Caller(worker): Caller,
    url: PublicUrl,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let only = request.conversation_id.as_ref().map(|id| &id.0);
    let job = use_case(&app, &worker, only, false).await?;
    let Some(job) = job else { return Ok(Json(Answer { job: None })) };
    let payload = handed_out(&app, &url, job.payload.clone()).await;
    let timing = Timing::in_force(&app).await?;
    Ok(Json(Answer { job: Some(JobBody::new(&job, payload, timing)) }))
}
