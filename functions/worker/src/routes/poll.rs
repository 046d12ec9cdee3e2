//! `POST /v1/worker/poll`: control state, claim and hydration in one request.

use af_app::worker::{Ownership, Poll, Polled, Wants, expired, poll as use_case};
use af_app::{App, AppError};
use af_domain::ids::{ConversationId, HistoryCursor};
use af_http::{ApiJson, Problem, PublicUrl};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Told;
use crate::files::handed_out;
use crate::job::{BundleBody, JobBody, Timing};
use crate::wire::ControlBody;

/// What a worker asks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The conversation it believes it is assigned to.
    #[serde(default)]
    conversation_id: Option<String>,
    /// Messages it runs at the moment; above 0 it is only told its control state.
    #[serde(default)]
    load: u32,
    /// Whether it wants the bundle with the job.
    #[serde(default = "yes")]
    hydrate: bool,
    /// The cursor of an earlier bundle: only newer history comes.
    #[serde(default)]
    since: Option<String>,
    /// Whether it lets go of its conversation. It keeps it while it owes a final snapshot.
    #[serde(default)]
    release: bool,
    /// With `release`: it has nothing to keep of the conversation, and owes no snapshot.
    #[serde(default)]
    discard: bool,
}

const fn yes() -> bool {
    true
}

impl Request {
    fn wants(&self) -> Result<Wants, AppError> {
        let since = self.since.as_deref().map(HistoryCursor::parse).transpose()?;
        Ok(if self.load > 0 {
            Wants::ControlOnly
        } else if self.hydrate {
            Wants::JobWithBundle { since }
        } else {
            Wants::Job
        })
    }

    const fn ownership(&self) -> Ownership {
        if !self.release {
            Ownership::Keep
        } else if self.discard {
            Ownership::Discard
        } else {
            Ownership::Release
        }
    }
}

/// What a worker is answered.
// It may hold secrets, so it has no `Debug`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    control: ControlBody,
    job: Option<JobBody>,
    bundle: Option<BundleBody>,
    /// How long to wait before the next poll, ms.
    next_poll_ms: u64,
}

/// Answers a poll. A caller whose token has expired is told to stop.
///
/// # Errors
/// 401 without a worker token.
#[utoipa::path(
    post, path = "/v1/worker/poll", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses((status = 200, body = inline(Answer))),
)]
pub async fn poll(
    State(app): State<Shared>,
    Told(worker): Told,
    url: PublicUrl,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let Some(worker) = worker else {
        return Ok(Json(answer(&app, &url, expired(&app).await?).await));
    };
    let conversation = request.conversation_id.as_deref().map(ConversationId::parse).transpose();
    let request = Poll {
        conversation: conversation.map_err(AppError::from)?,
        wants: request.wants()?,
        ownership: request.ownership(),
        restores_at_boot: false,
    };
    let polled = use_case(&app, &worker, &request).await?;
    Ok(Json(answer(&app, &url, polled).await))
}

async fn answer(app: &App, url: &PublicUrl, polled: Polled) -> Answer {
    let timing = Timing { lease: polled.lease, next_heartbeat: polled.next_heartbeat };
    let (mut job, mut bundle) = (None, None);
    if let Some(handed) = polled.job {
        let payload = handed_out(app, url, handed.payload.clone()).await;
        bundle = polled.bundle.map(|bundle| BundleBody::new(&handed, payload.clone(), bundle));
        job = Some(JobBody::new(&handed, payload, timing));
    }
    Answer { control: polled.control.into(), job, bundle, next_poll_ms: polled.next_poll.as_millis() }
}
