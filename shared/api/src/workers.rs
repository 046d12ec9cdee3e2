//! The worker pool.

use std::collections::BTreeMap;

use af_domain::ids::{AgentKey, ConversationId, WorkerId};
use af_domain::worker::{Assignment, Machine, Volume};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;
use crate::pages::Page;
use crate::reconcile::Report;

/// A worker: one life of one machine. Times are epoch ms.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerBody {
    /// The worker's id.
    pub worker_id: String,
    /// The kind of provider that runs it; `manual` for a worker that was started by hand.
    pub provider: String,
    /// `active`, `draining`, `stopping` or `stopped`.
    pub status: String,
    /// Messages that it runs, 0 or 1.
    pub load: u32,
    /// When it last called; null before its first call. Written at least once a minute.
    #[serialize_always]
    pub heartbeat_at: Option<u64>,
    /// When it was registered.
    pub registered_at: u64,
    /// When it last claimed a message.
    pub last_claim_at: Option<u64>,
    /// The last snapshot that it uploaded.
    pub last_snapshot_id: Option<String>,
    /// Whether it left without its final snapshot. Its last files are lost then.
    pub snapshot_missed: bool,
    /// When it drains if no message arrives; only while it is active and runs nothing.
    pub scheduled_shutdown_at: Option<u64>,
    /// The latest moment that its drain ends; only while it drains.
    pub drain_by: Option<u64>,
    /// Why it drains, or was drained: `idle`, `stale`, `machine_gone`, `operator`, `signal`, `outdated`, `token_ends` or `duplicate`.
    pub drain_reason: Option<String>,
    /// When it stopped.
    pub stopped_at: Option<u64>,
    /// The conversation that it is assigned to.
    pub assignment: Option<AssignmentBody>,
    /// The image of its machine; left out for a worker that was started by hand.
    pub image: Option<String>,
    /// Its machine.
    pub machine: Option<MachineBody>,
    /// Its volume.
    pub volume: Option<VolumeBody>,
}

/// The conversation that a worker is assigned to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentBody {
    /// The conversation.
    pub conversation_id: String,
    /// The conversation's agent.
    pub agent_key: String,
    /// When it was assigned.
    pub assigned_at: u64,
}

/// A machine, as its provider names it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineBody {
    /// The app that it is in.
    pub app_name: String,
    /// The machine's id.
    pub machine_id: String,
    /// The region that it runs in.
    pub region: String,
}

/// A worker's volume.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeBody {
    /// The volume's name.
    pub name: String,
    /// The provider's id of the volume; left out until the provider has answered.
    pub volume_id: Option<String>,
}

/// A page of workers by id, with the report of the last reconcile.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkersAnswer {
    /// The workers.
    #[serde(flatten)]
    pub page: Page<WorkerBody>,
    /// Null before the first run.
    pub last_reconcile: Option<Report>,
}

/// A worker to register.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterRequest {
    /// An id that no worker has or had.
    #[schema(value_type = String)]
    pub worker_id: Id<WorkerId>,
    /// The agent that the conversation must belong to.
    #[schema(value_type = Option<String>)]
    pub agent_key: Option<Id<AgentKey>>,
    /// The conversation to assign the worker to. A worker without one takes any conversation that waits.
    #[schema(value_type = Option<String>)]
    pub conversation_id: Option<Id<ConversationId>>,
}

/// A registered worker. No other answer shows its token.
// It holds a token, so it has no `Debug`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterAnswer {
    /// The worker's id.
    pub worker_id: String,
    /// The worker's token.
    pub token: String,
    /// When the token expires, epoch ms.
    pub expires_at: u64,
    /// The environment to start the worker with; it holds the token.
    pub env: BTreeMap<String, String>,
}

impl From<Assignment> for AssignmentBody {
    fn from(assignment: Assignment) -> Self {
        Self {
            conversation_id: assignment.conversation.to_string(),
            agent_key: assignment.agent.to_string(),
            assigned_at: assignment.assigned_at.as_millis(),
        }
    }
}

impl From<Volume> for VolumeBody {
    fn from(volume: Volume) -> Self {
        Self { name: volume.name, volume_id: volume.id }
    }
}

impl From<Machine> for MachineBody {
    fn from(machine: Machine) -> Self {
        Self { app_name: machine.app, machine_id: machine.id, region: machine.region }
    }
}
