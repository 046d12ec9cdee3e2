//! Workers and reports as wire types.

use af_api::reconcile::{ActionReport, Report, WaitReport};
use af_api::workers::WorkerBody;
use af_app::pool::reconcile as app;
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

/// A report as it is shown.
pub fn report_body(report: app::Report) -> Report {
    let action = |action: app::ActionReport| ActionReport {
        action: action.action,
        subject: action.subject,
        reason: action.reason,
        outcome: action.outcome,
    };
    let wait = |wait: app::WaitReport| WaitReport {
        subject: wait.subject,
        waits_for: wait.waits_for,
        until: wait.until,
    };
    Report {
        at: report.at,
        dry_run: report.dry_run,
        actions: report.actions.into_iter().map(action).collect(),
        actions_omitted: report.actions_omitted,
        waits: report.waits.into_iter().map(wait).collect(),
        unserved: report.unserved,
        errors: report.errors,
        warnings: report.warnings,
        workers: report.workers,
    }
}
