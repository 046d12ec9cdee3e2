//! Poll and claim: how a worker gets a message.

use af_domain::ids::ConversationId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::control::Control;
use super::hydration::Bundle;
use super::yes;
use crate::id::Id;
use crate::messages::PayloadBody;

/// A poll.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PollRequest {
    /// The conversation that the worker believes it is assigned to.
    pub conversation_id: Option<String>,
    /// How many messages the worker runs at the moment. Above 0, it gets only its control state.
    #[serde(default)]
    pub load: u32,
    /// Whether the worker wants the bundle with the job.
    #[serde(default = "yes")]
    pub hydrate: bool,
    /// The cursor of an earlier bundle: the history then holds only newer entries.
    pub since: Option<String>,
    /// The fingerprint of the workspace that the worker has: the bundle then holds only the fingerprint if it has not changed.
    pub workspace_fingerprint: Option<String>,
    /// Whether the worker releases its conversation. It keeps the conversation while it owes a final snapshot.
    #[serde(default)]
    pub release: bool,
    /// With `release`: the worker has no files of the conversation to keep, and owes no snapshot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discard: bool,
    /// Milliseconds that the answer may wait for a message, 0 to 20000. The policy `poll.maxWaitMs` bounds it, and is 0 by
    /// default.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20_000, default = 0)]
    pub wait_ms: u32,
}

/// The answer to a poll.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollAnswer {
    /// What the deployment wants of the worker.
    pub control: Control,
    /// The message to run; null when there is none for this worker.
    pub job: Option<Job>,
    /// The bundle of that message, if the worker asked for it.
    pub bundle: Option<Bundle>,
    /// How long to wait before the next poll, ms.
    pub next_poll_ms: u64,
}

/// A claim.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRequest {
    /// Claims only a message of this conversation. Left out, of the worker's own conversation, or of any conversation
    /// without an owner.
    #[schema(value_type = Option<String>)]
    pub conversation_id: Option<Id<ConversationId>>,
}

/// The answer to a claim.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ClaimAnswer {
    /// The message to run; null when there is none for this worker, or when the worker must stop.
    pub job: Option<Job>,
}

/// A message that a worker holds under a lease.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The message.
    pub message_id: String,
    /// The conversation that the message belongs to.
    pub conversation_id: String,
    /// The agent that the message is for.
    pub agent_key: String,
    /// The lease, which every later call about the message names.
    pub lease_id: String,
    /// The fence of the lease.
    pub fence: u64,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// When the lease expires, epoch ms by the server's clock.
    pub lease_expires_at: u64,
    /// How long a lease lasts from its claim or last heartbeat, ms.
    pub lease_ms: u64,
    /// How long to wait between heartbeats, ms.
    pub next_heartbeat_ms: u64,
    /// What the message carries.
    pub payload: PayloadBody,
}
