//! The state of each worker's machine at the provider.

use std::collections::HashMap;

use af_domain::ids::WorkerId;
use af_domain::pool::MachineView;
use af_domain::worker::{Worker, WorkerStatus};
use af_providers::{Machine, MachineRef, MachineState, ProviderError};
use futures::StreamExt;
use tokio::time::Instant;

use crate::pool::provider::deadline::answer_by;
use crate::pool::provider::target::ProviderTarget;

/// The most machines missing from the list that one run inspects. The others do not count as gone until a later run
/// inspects them, or until their workers are stale.
const MAX_INSPECTIONS: usize = 50;
/// The most inspections at the same time: enough to hide the provider's latency.
const MAX_CONCURRENT: usize = 8;

/// The states of these workers' machines. `listed` is the list of `target`. It has no machines of another provider or app,
/// so the answer has none for their workers either.
///
/// A machine in a worker's row is inspected before it counts as missing. Otherwise one incomplete list would end a worker
/// that lives.
pub(super) async fn views(
    target: &ProviderTarget,
    listed: &[Machine],
    workers: &[Worker],
    until: Instant,
    errors: &mut Vec<String>,
) -> HashMap<WorkerId, MachineView> {
    let listed: HashMap<&WorkerId, &Machine> = listed.iter().map(|m| (&m.worker_id, m)).collect();
    let mut views = HashMap::new();
    let mut unlisted = Vec::new();
    for worker in workers.iter().filter(|w| runs_at(target, w)) {
        match (listed.get(&worker.id), recorded(worker)) {
            (Some(machine), _) => drop(views.insert(worker.id.clone(), view(machine.state))),
            (None, Some(machine)) => unlisted.push((worker.id.clone(), machine)),
            (None, None) => drop(views.insert(worker.id.clone(), MachineView::Missing)),
        }
    }
    let inspections = unlisted.into_iter().take(MAX_INSPECTIONS).map(|(worker, machine)| async move {
        let answer = answer_by(until, target.provider.inspect(&machine)).await;
        (worker, machine, answer)
    });
    let inspections: Vec<_> = inspections.collect();
    let answers: Vec<_> = futures::stream::iter(inspections).buffered(MAX_CONCURRENT).collect().await;
    let mut failed = Vec::new();
    for (worker, machine, answer) in answers {
        let view = match answer {
            Ok(state) if state.is_running() => MachineView::Unlisted,
            Ok(state) => view(state),
            // A machine that has lost our mark is not the worker's machine any more.
            Err(ProviderError::NotFound { .. } | ProviderError::Rejected { .. }) => MachineView::Missing,
            Err(error) => {
                failed.push(format!("inspecting machine {} failed: {error}", machine.machine_id));
                MachineView::Unknown
            }
        };
        views.insert(worker, view);
    }
    // Usually all fail for the same reason, for example when the provider is down.
    let more = failed.len().saturating_sub(1);
    errors.extend(failed.into_iter().next());
    if more > 0 {
        errors.push(format!("inspecting {more} more machines failed"));
    }
    views
}

fn runs_at(target: &ProviderTarget, worker: &Worker) -> bool {
    worker.provider == target.provider.kind().as_str()
        && worker.app().is_none_or(|app| app == target.scope.app_name)
}

/// The machine in the row of a worker before its teardown.
fn recorded(worker: &Worker) -> Option<MachineRef> {
    let lives = matches!(worker.status, WorkerStatus::Active | WorkerStatus::Draining { .. });
    let machine = worker.machine.clone().filter(|_| lives)?;
    Some(MachineRef { app_name: machine.app, machine_id: machine.id, region: machine.region })
}

fn view(state: MachineState) -> MachineView {
    match state {
        state if state.is_running() => MachineView::Running,
        MachineState::Stopping => MachineView::Stopping,
        _ => MachineView::NotRunning,
    }
}
