use af_api::user_messages::WaitMs;
use af_api::worker::poll::{PollAnswer, PollRequest};
use af_app::worker::{Ownership, Poll, Polled, Wants, expired, poll as use_case};
use af_app::{App, AppError};
use af_domain::ids::{ConversationId, HistoryCursor};
use af_domain::refusal::Refusal;
use af_domain::time::Millis;
use af_http::{ApiJson, Json, Problem, PublicUrl};

use crate::caller::MaybeExpiredWorker;
use crate::conversions::{self, Timing, workspace_wanted};
use crate::download_links::{bundle_with_links, payload_with_links};

/// Answers a poll. With `waitMs`, the answer comes when there is a message, or after the wait. A caller with an expired token
/// must stop.
///
/// # Errors
/// 401 without a worker token, 422 for an invalid `waitMs`.
#[utoipa::path(
    post, path = "/v1/worker/poll",
    operation_id = "workerPoll", tag = "worker",
    security(("workerToken" = [])), request_body = inline(PollRequest),
    responses((status = 200, body = inline(PollAnswer))),
)]
pub async fn poll(
    MaybeExpiredWorker { app, worker }: MaybeExpiredWorker,
    url: PublicUrl,
    ApiJson(request): ApiJson<PollRequest>,
) -> Result<Json<PollAnswer>, Problem> {
    let Some(worker) = worker else {
        return Ok(Json(answer(&app, &url, expired(&app).await?).await));
    };
    let conversation = request.conversation_id.as_deref().map(ConversationId::parse).transpose();
    let request = Poll {
        conversation: conversation.map_err(AppError::from)?,
        wants: wants(&request)?,
        ownership: ownership(&request),
        restores_at_boot: false,
        wait: wait(&request)?,
    };
    let polled = use_case(&app, &worker, &request).await?;
    Ok(Json(answer(&app, &url, polled).await))
}

fn wants(request: &PollRequest) -> Result<Wants, AppError> {
    let since = request.since.as_deref().map(HistoryCursor::parse).transpose()?;
    Ok(if request.load > 0 {
        Wants::ControlOnly
    } else if request.hydrate {
        Wants::JobWithBundle { since, workspace: workspace_wanted(request.workspace_fingerprint.clone()) }
    } else {
        Wants::Job
    })
}

fn wait(request: &PollRequest) -> Result<Millis, AppError> {
    let allowed = WaitMs::new(request.wait_ms).ok_or_else(|| {
        Refusal::field("/waitMs", format!("waitMs must be a whole number from 0 to {}", WaitMs::MAX))
    })?;
    Ok(Millis::new(allowed.get()))
}

const fn ownership(request: &PollRequest) -> Ownership {
    if !request.release {
        Ownership::Keep
    } else if request.discard {
        Ownership::Discard
    } else {
        Ownership::Release
    }
}

async fn answer(app: &App, url: &PublicUrl, polled: Polled) -> PollAnswer {
    let timing = Timing { lease: polled.lease, next_heartbeat: polled.next_heartbeat };
    let (mut job, mut bundle) = (None, None);
    if let Some(claimed) = polled.job {
        let payload = payload_with_links(app, url, claimed.payload.clone()).await;
        if let Some(made) = polled.bundle {
            bundle = Some(bundle_with_links(app, url, &claimed, payload.clone(), made).await);
        }
        job = Some(conversions::job(&claimed, payload, timing));
    }
    let control = conversions::control(polled.control);
    PollAnswer { control, job, bundle, next_poll_ms: polled.next_poll.as_millis() }
}
