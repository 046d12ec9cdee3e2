//! `GET /v1/conversations/{conversationId}`: who has a conversation, what runs and what waits.

use af_app::conversations::get as use_case;
use af_app::settings::policies;
use af_domain::conversation::{Conversation, EndedLease, Entry, Lease, Outcome, Owner, OwnerState};
use af_domain::ids::ConversationId;
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Viewer;

/// A conversation. Times are epoch ms.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    conversation_id: String,
    agent_key: String,
    /// How often something was claimed here.
    fence: u64,
    /// How often queue, lease or owner have changed.
    version: u64,
    /// When a message last ended here, or the first one came.
    active_at: u64,
    owner: Option<OwnerBody>,
    /// What runs.
    lease: Option<LeaseBody>,
    /// How many wait.
    pending_count: usize,
    /// What waits, in the order in which it would run if nothing came any more.
    pending: Vec<PendingBody>,
    /// How the last lease ended.
    last_outcome: Option<OutcomeBody>,
}

/// The worker that a conversation is assigned to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnerBody {
    worker_id: String,
    /// `active` or `draining`.
    state: &'static str,
    /// Its last sign of life on this conversation; null before the first.
    seen_at: Option<u64>,
    assigned_at: u64,
    /// Whether it is asked to let go when the conversation is quiet.
    wanted_elsewhere: bool,
}

/// A worker's right to run a message. Its id is not shown: whoever has it could end it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseBody {
    fence: u64,
    worker_id: String,
    message_id: String,
    attempt: u32,
    claimed_at: u64,
    /// When it ends unless a heartbeat comes.
    expires_at: u64,
    /// Whether the message was cancelled.
    cancelled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<String>,
}

/// A message that waits.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingBody {
    message_id: String,
    priority: u8,
    /// Not before this moment: its scheduled time or its retry's; else when it was enqueued.
    scheduled_for: u64,
    attempts: u32,
    max_attempts: u32,
}

/// How a lease ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeBody {
    fence: u64,
    /// `done`, `requeued`, `dead_letter` or `cancelled`.
    outcome: &'static str,
    /// When the retry is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<u64>,
    /// Whether it was taken from its holder, by recovery or an operator.
    recovered: bool,
}

/// Shows a conversation.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    get, path = "/v1/conversations/{conversationId}", tag = "conversations",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(Answer)), (status = 404, description = "not_found")),
)]
pub async fn get(
    State(app): State<Shared>,
    _: Viewer,
    ApiPath(id): ApiPath<ConversationId>,
) -> Result<Json<Answer>, Problem> {
    let policies = policies::in_force(&app).await?;
    let conversation = use_case(&app, &id).await?;
    Ok(Json(answer(&conversation, &policies, app.now())))
}

fn answer(conversation: &Conversation, policies: &Policies, now: Timestamp) -> Answer {
    Answer {
        conversation_id: conversation.id.to_string(),
        agent_key: conversation.agent.to_string(),
        fence: conversation.fence.0,
        version: conversation.version,
        active_at: conversation.active_at.as_millis(),
        owner: conversation.owner.as_ref().map(Into::into),
        lease: conversation.lease.as_ref().map(Into::into),
        pending_count: conversation.queue.len(),
        pending: conversation.in_order(now, policies).into_iter().map(Into::into).collect(),
        last_outcome: conversation.last.as_ref().map(Into::into),
    }
}

impl From<&Owner> for OwnerBody {
    fn from(owner: &Owner) -> Self {
        Self {
            worker_id: owner.worker.to_string(),
            state: match owner.state {
                OwnerState::Active => "active",
                OwnerState::Draining => "draining",
            },
            seen_at: owner.seen_at.map(Timestamp::as_millis),
            assigned_at: owner.assigned_at.as_millis(),
            wanted_elsewhere: owner.wanted_elsewhere,
        }
    }
}

impl From<&Lease> for LeaseBody {
    fn from(lease: &Lease) -> Self {
        Self {
            fence: lease.id.parts().fence.0,
            worker_id: lease.worker.to_string(),
            message_id: lease.entry.message.to_string(),
            attempt: lease.entry.attempts,
            claimed_at: lease.claimed_at.as_millis(),
            expires_at: lease.expires_at.as_millis(),
            cancelled: lease.cancelled,
            progress: lease.progress.clone(),
        }
    }
}

impl From<&Entry> for PendingBody {
    fn from(entry: &Entry) -> Self {
        Self {
            message_id: entry.message.to_string(),
            priority: entry.priority.get(),
            scheduled_for: entry.due.max(entry.not_before).as_millis(),
            attempts: entry.attempts,
            max_attempts: entry.max_attempts,
        }
    }
}

impl From<&EndedLease> for OutcomeBody {
    fn from(settled: &EndedLease) -> Self {
        Self {
            fence: settled.lease.parts().fence.0,
            outcome: settled.outcome.as_str(),
            scheduled_for: match settled.outcome {
                Outcome::Requeued { not_before } => Some(not_before.as_millis()),
                Outcome::Done | Outcome::DeadLettered | Outcome::Cancelled => None,
            },
            recovered: settled.recovered,
        }
    }
}
