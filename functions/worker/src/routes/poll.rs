//! `POST /v1/worker/poll`: control state, claim and hydration in one request.

use af_app::wire::PayloadBody;
use af_app::worker::{Poll, Polled, poll as use_case};
use af_domain::ids::{ConversationId, HistoryCursor};
use af_http::{ApiJson, Bearer, Problem};
use axum::Json;
use axum::extract::State;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::wire::{BridgeBody, ControlBody, EntryBody, ToolCallBody};
use crate::{Shared, caller};

/// What a worker asks.
#[derive(Debug, Deserialize)]
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

/// What a worker is answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    control: ControlBody,
    job: Option<JobBody>,
    bundle: Option<BundleBody>,
    /// How long to wait before the next poll, ms.
    next_poll_ms: u64,
}

/// A message handed out under a lease.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobBody {
    message_id: String,
    conversation_id: String,
    agent_key: String,
    lease_id: String,
    fence: u64,
    /// Which attempt this is, from 1.
    attempt: u32,
    /// Epoch ms by the server's clock.
    lease_expires_at: u64,
    /// How long a lease lasts from its claim or last heartbeat, ms.
    lease_ms: u64,
    /// How long to wait between heartbeats, ms.
    next_heartbeat_ms: u64,
    payload: PayloadBody,
}

/// Everything the worker needs for the message.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleBody {
    message_id: String,
    conversation_id: String,
    agent_key: String,
    payload: PayloadBody,
    conversation_state: StateBody,
    context_fingerprint: String,
    /// Whether the history is only what has come since `since`; the whole context, if not.
    delta: bool,
    /// Sent as `since`, it brings only what came after.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    telegram_bot_token: Option<String>,
    /// Null unless the agent's bridge is enabled.
    bridge_runtime_config: Option<BridgeBody>,
}

/// The conversation so far.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateBody {
    /// Oldest first.
    context_history: Vec<EntryBody>,
    pending_tool_calls: Vec<ToolCallBody>,
}

/// Answers a poll.
///
/// # Errors
/// 401 without a valid worker token.
pub async fn poll(
    State(app): State<Shared>,
    bearer: Bearer,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let worker = caller(&app, &bearer).await?;
    let request = Poll {
        conversation: request
            .conversation_id
            .map(ConversationId::parse)
            .transpose()
            .map_err(af_app::AppError::from)?,
        busy: request.load > 0,
        hydrate: request.hydrate,
        since: request
            .since
            .as_deref()
            .map(HistoryCursor::parse)
            .transpose()
            .map_err(af_app::AppError::from)?,
        release: request.release,
        discard: request.discard,
    };
    Ok(Json(answer(use_case(&app, &worker, &request).await?)))
}

fn answer(polled: Polled) -> Answer {
    let timing = (polled.lease.as_millis(), polled.next_heartbeat.as_millis());
    let job = polled.job.map(|job| JobBody {
        message_id: job.lease.entry.message.to_string(),
        conversation_id: job.conversation.id.to_string(),
        agent_key: job.conversation.agent.to_string(),
        fence: job.lease.id.parts().fence.0,
        lease_id: job.lease.id.to_string(),
        attempt: job.lease.entry.attempts,
        lease_expires_at: job.lease.expires_at.as_millis(),
        lease_ms: timing.0,
        next_heartbeat_ms: timing.1,
        payload: job.payload.into(),
    });
    let bundle = polled.bundle.zip(job.as_ref()).map(|(bundle, job)| BundleBody {
        message_id: job.message_id.clone(),
        conversation_id: job.conversation_id.clone(),
        agent_key: job.agent_key.clone(),
        payload: job.payload.clone(),
        conversation_state: StateBody {
            context_history: bundle.context_history.into_iter().map(Into::into).collect(),
            pending_tool_calls: bundle.pending_tool_calls.into_iter().map(Into::into).collect(),
        },
        context_fingerprint: bundle.context_fingerprint,
        delta: bundle.is_delta,
        cursor: bundle.cursor.map(|c| c.to_string()),
        telegram_bot_token: bundle.telegram_bot_token.map(|t| t.expose_secret().to_owned()),
        bridge_runtime_config: bundle.bridge.map(Into::into),
    });
    Answer { control: polled.control.into(), job, bundle, next_poll_ms: polled.next_poll.as_millis() }
}
