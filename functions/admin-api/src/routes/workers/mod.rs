//! The worker pool.

pub mod get;
pub mod list;
pub mod reconcile;
pub mod register;

use af_app::pool::workers::WorkerView;
use af_domain::time::Timestamp;
use af_domain::worker::{Assignment, Machine, Volume, WorkerStatus};
use serde::Serialize;
use utoipa::ToSchema;

/// A worker: one life of one machine. Times are epoch ms.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerBody {
    worker_id: String,
    /// Kind of provider that runs it; `manual` for one started by hand.
    provider: String,
    /// `active`, `draining`, `stopping` or `stopped`.
    status: &'static str,
    /// Messages that it runs, 0 or 1.
    load: u32,
    /// Its newest sign of life; null before the first. Written once a minute at least.
    heartbeat_at: Option<u64>,
    registered_at: u64,
    /// When it last claimed a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_claim_at: Option<u64>,
    /// The last snapshot that it uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_snapshot_id: Option<String>,
    /// Whether it left without the final snapshot that it owed: its last files are lost.
    snapshot_missed: bool,
    /// When it will be drained if nobody talks; only while it is active and runs nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_shutdown_at: Option<u64>,
    /// The latest moment it may take; only while it drains.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_by: Option<u64>,
    /// Why it drains: `idle`, `stale`, `machine_gone`, `operator`, `signal`, `outdated`, `token_ends` or `duplicate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignment: Option<AssignmentBody>,
    /// What its machine was started with; not of a worker that was started by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<MachineBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<VolumeBody>,
}

/// The conversation that a worker is assigned to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentBody {
    conversation_id: String,
    agent_key: String,
    assigned_at: u64,
}

/// A machine, as its provider names it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineBody {
    app_name: String,
    machine_id: String,
    region: String,
}

/// A worker's volume.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeBody {
    name: String,
    /// The provider's id of it, once it has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    volume_id: Option<String>,
}

impl From<WorkerView> for WorkerBody {
    fn from(view: WorkerView) -> Self {
        let worker = view.worker;
        let mut body = Self {
            worker_id: worker.id.to_string(),
            provider: worker.provider,
            status: worker.status.name(),
            load: view.load,
            heartbeat_at: view.seen_at.map(Timestamp::as_millis),
            registered_at: worker.registered_at.as_millis(),
            last_claim_at: view.last_claim_at.map(Timestamp::as_millis),
            last_snapshot_id: worker.last_snapshot.map(|id| id.to_string()),
            snapshot_missed: worker.snapshot_missed,
            scheduled_shutdown_at: view.scheduled_shutdown_at.map(Timestamp::as_millis),
            drain_by: None,
            drain_reason: None,
            stopped_at: None,
            assignment: worker.assignment.map(Into::into),
            image: worker.image,
            machine: worker.machine.map(Into::into),
            volume: worker.volume.map(Into::into),
        };
        match worker.status {
            WorkerStatus::Draining { drain_by, reason } => {
                body.drain_by = Some(drain_by.as_millis());
                body.drain_reason = Some(reason.as_str());
            }
            WorkerStatus::Stopped { at } => body.stopped_at = Some(at.as_millis()),
            WorkerStatus::Active | WorkerStatus::Stopping { .. } => {}
        }
        body
    }
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
