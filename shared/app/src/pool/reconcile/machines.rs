//! What the provider says of each worker's machine.

use std::collections::HashMap;

use af_domain::ids::WorkerId;
use af_domain::pool::MachineView;
use af_domain::worker::{Worker, WorkerStatus};
use af_providers::{Machine, MachineRef, MachineState, ProviderError};
use futures::StreamExt;
use tokio::time::Instant;

use crate::pool::provider::ProviderTarget;
use crate::pool::provider::deadline::answer_by;

/// Machines looked at in one run that the list lacks. Of more that go at once, nobody counts as gone before its turn, or
/// its silence.
const LOOKS_MAX: usize = 50;
/// Looks at the same time, which hide the provider's latency.
const LOOKS_AT_ONCE_MAX: usize = 8;

/// How the machines of these workers are; `listed` is what `place` has. Those of another provider, or in another app, are
/// not on this list, and so not among the answers.
///
/// A machine that stands in a worker's row is looked at itself before it counts as missing: one list that lacks it would
/// else end a worker that lives.
pub(super) async fn views(
    place: &ProviderTarget,
    listed: &[Machine],
    workers: &[Worker],
    until: Instant,
    errors: &mut Vec<String>,
) -> HashMap<WorkerId, MachineView> {
    let listed: HashMap<&WorkerId, &Machine> = listed.iter().map(|m| (&m.worker_id, m)).collect();
    let mut views = HashMap::new();
    let mut unlisted = Vec::new();
    for worker in workers.iter().filter(|w| is_here(place, w)) {
        match (listed.get(&worker.id), noted(worker)) {
            (Some(machine), _) => drop(views.insert(worker.id.clone(), view(machine.state))),
            (None, Some(machine)) => unlisted.push((worker.id.clone(), machine)),
            (None, None) => drop(views.insert(worker.id.clone(), MachineView::Missing)),
        }
    }
    let looks = unlisted.into_iter().take(LOOKS_MAX).map(|(worker, machine)| async move {
        let answer = answer_by(until, place.provider.look(&machine)).await;
        (worker, machine, answer)
    });
    let looks: Vec<_> = looks.collect();
    let looked: Vec<_> = futures::stream::iter(looks).buffered(LOOKS_AT_ONCE_MAX).collect().await;
    let mut failed = Vec::new();
    for (worker, machine, answer) in looked {
        let view = match answer {
            Ok(state) if state.is_running() => MachineView::Unlisted,
            Ok(state) => view(state),
            // One that does not carry our mark any more is nobody's that we may count on.
            Err(ProviderError::NotFound { .. } | ProviderError::Rejected { .. }) => MachineView::Missing,
            Err(error) => {
                failed.push(format!("looking at machine {} failed: {error}", machine.machine_id));
                MachineView::Unknown
            }
        };
        views.insert(worker, view);
    }
    // They fail alike, as when the provider is down.
    let more = failed.len().saturating_sub(1);
    errors.extend(failed.into_iter().next());
    if more > 0 {
        errors.push(format!("looking at {more} more machines failed"));
    }
    views
}

fn is_here(place: &ProviderTarget, worker: &Worker) -> bool {
    worker.provider == place.provider.kind().as_str()
        && worker.app().is_none_or(|app| app == place.scope.app_name)
}

/// The machine in the row of a worker that is not torn down yet.
fn noted(worker: &Worker) -> Option<MachineRef> {
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
