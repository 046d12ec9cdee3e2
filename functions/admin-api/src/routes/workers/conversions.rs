//! Workers as wire types.

use af_api::workers::WorkerBody;
use af_app::pool::workers::WorkerView;
use af_domain::time::Timestamp;
use af_domain::worker::WorkerStatus;

/// A worker as it is shown.
pub fn body(view: WorkerView) -> WorkerBody {
    let worker = view.worker;
    let mut body = WorkerBody {
        worker_id: worker.id.to_string(),
        provider: worker.provider,
        status: worker.status.name().to_owned(),
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
            body.drain_reason = Some(reason.as_str().to_owned());
        }
        WorkerStatus::Stopped { at } => body.stopped_at = Some(at.as_millis()),
        WorkerStatus::Active | WorkerStatus::Stopping { .. } => {}
    }
    body
}
