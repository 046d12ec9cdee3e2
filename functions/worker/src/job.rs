//! A message as it is handed to a worker, and its bundle.

use af_api::messages::PayloadBody;
use af_app::settings::policies;
use af_app::worker::bundle::{Bundle, Job};
use af_app::{App, AppError};
use af_domain::time::Millis;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::{BridgeBody, EntryBody, ToolCallBody};

/// What a worker is told of time with a message.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a lease lasts from its claim or last heartbeat.
    pub lease: Millis,
    /// How long to wait between heartbeats.
    pub next_heartbeat: Millis,
}

impl Timing {
    /// As the policies have it.
    pub async fn in_force(app: &App) -> Result<Self, AppError> {
        let lease = policies::in_force(app).await?.lease;
        Ok(Self { lease: lease.lease, next_heartbeat: lease.heartbeat_interval })
    }
}

/// A message handed out under a lease.
#[derive(Debug, Serialize, ToSchema)]
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

impl JobBody {
    pub fn new(job: &Job, payload: PayloadBody, timing: Timing) -> Self {
        Self {
            message_id: job.lease.entry.message.to_string(),
            conversation_id: job.conversation.id.to_string(),
            agent_key: job.conversation.agent.to_string(),
            lease_id: job.lease.id.to_string(),
            fence: job.lease.id.parts().fence.0,
            attempt: job.lease.entry.attempts,
            lease_expires_at: job.lease.expires_at.as_millis(),
            lease_ms: timing.lease.as_millis(),
            next_heartbeat_ms: timing.next_heartbeat.as_millis(),
            payload,
        }
    }
}

/// Everything the worker needs for the message.
// Secrets, too, so it has no `Debug`.
#[derive(Serialize, ToSchema)]
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
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateBody {
    /// Oldest first.
    context_history: Vec<EntryBody>,
    pending_tool_calls: Vec<ToolCallBody>,
}

impl BundleBody {
    pub fn new(job: &Job, payload: PayloadBody, bundle: Bundle) -> Self {
        Self {
            message_id: job.lease.entry.message.to_string(),
            conversation_id: job.conversation.id.to_string(),
            agent_key: job.conversation.agent.to_string(),
            payload,
            conversation_state: StateBody {
                context_history: bundle.context_history.into_iter().map(Into::into).collect(),
                pending_tool_calls: bundle.pending_tool_calls.into_iter().map(Into::into).collect(),
            },
            context_fingerprint: bundle.context_fingerprint,
            delta: bundle.is_delta,
            cursor: bundle.cursor.map(|c| c.to_string()),
            telegram_bot_token: bundle.telegram_bot_token.map(|t| t.expose_secret().to_owned()),
            bridge_runtime_config: bundle.bridge.map(Into::into),
        }
    }
}
