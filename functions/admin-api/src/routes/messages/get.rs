//! `GET /v1/messages/{messageId}`: a message with its attempts.

use af_app::conversations::read_models::{RunningAttempt, message};
use af_app::wire::MessageBody;
use af_domain::attempt::Attempt;
use af_domain::ids::MessageId;
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Viewer;

/// A message with its state as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    #[serde(flatten)]
    message: MessageBody,
    /// Its newest attempts, oldest first; the last one may still run.
    attempt_log: Vec<AttemptBody>,
}

/// An attempt: one claim of the message. Times are epoch ms.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptBody {
    /// Which one, from 1; a dead letter that is retried begins anew.
    number: u32,
    fence: u64,
    worker_id: String,
    claimed_at: u64,
    /// Null while it runs.
    ended_at: Option<u64>,
    /// `running`, `done`, `requeued`, `dead_letter` or `cancelled`.
    outcome: &'static str,
    /// Who ended it: `worker`, `recovery` or `operator`; null while it runs.
    ended_by: Option<&'static str>,
    /// Why it ended without success, cut to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Shows a message with its state as it is now.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    get, path = "/v1/messages/{messageId}", tag = "messages",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(Answer)), (status = 404, description = "not_found")),
)]
pub async fn get(
    State(app): State<Shared>,
    _: Viewer,
    ApiPath(id): ApiPath<MessageId>,
) -> Result<Json<Answer>, Problem> {
    let mut view = message(&app, &id).await?;
    let ended = std::mem::take(&mut view.message.attempt_log).into_iter().map(AttemptBody::from);
    let attempt_log = ended.chain(view.running.take().map(AttemptBody::from)).collect();
    Ok(Json(Answer { message: view.into(), attempt_log }))
}

impl From<Attempt> for AttemptBody {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            fence: attempt.fence.0,
            worker_id: attempt.worker.to_string(),
            claimed_at: attempt.claimed_at.as_millis(),
            ended_at: Some(attempt.ended_at.as_millis()),
            outcome: attempt.end.as_str(),
            ended_by: Some(attempt.ended_by.as_str()),
            error: attempt.error,
        }
    }
}

impl From<RunningAttempt> for AttemptBody {
    fn from(attempt: RunningAttempt) -> Self {
        Self {
            number: attempt.number,
            fence: attempt.fence.0,
            worker_id: attempt.worker.to_string(),
            claimed_at: attempt.claimed_at.as_millis(),
            ended_at: None,
            outcome: "running",
            ended_by: None,
            error: None,
        }
    }
}
