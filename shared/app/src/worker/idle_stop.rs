//! Answers the question of a published image whether its worker must leave.

use af_domain::conversation::Conversation;
use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use af_domain::worker::{Worker, WorkerStatus};

use super::control::Control;
use super::ready::should_switch;
use super::signs_of_life::touch_worker;
use crate::settings::policies;
use crate::{App, Result};

/// Whether `worker` must leave. It must leave if it is unknown or not active, or was silent for too long. This call is a
/// sign of life itself, so only earlier ones count. It must leave after the idle timeout, unless the pool keeps idle
/// workers; then reconcile decides which ones. It must also leave if other conversations wait while its own is quiet,
/// because a published image cannot release one conversation and take another.
pub async fn should_stop(app: &App, worker: &WorkerId) -> Result<bool> {
    let policies = policies::in_force(app).await?;
    // Strongly consistent: a worker that was registered a moment ago must not be stopped.
    let row = app.store.worker_now(worker).await?;
    let Some(row) = row.filter(|row| row.status == WorkerStatus::Active) else { return Ok(true) };
    let conversation = match &row.assignment {
        Some(assignment) => app.store.conversation(&assignment.key, false).await?,
        None => None,
    };
    let owned = conversation.filter(|c| c.is_owned_by(worker));
    let now = app.now();
    let stop = match &owned {
        owned if is_over(&row, owned.as_ref(), now, &policies) => true,
        Some(quiet) if Control::of_owner(quiet, worker, &policies, now).switch.is_some() => {
            should_switch(app, quiet, &policies).await?
        }
        _ => false,
    };
    touch_worker(app, worker).await?;
    Ok(stop)
}

fn is_over(row: &Worker, owned: Option<&Conversation>, now: Timestamp, policies: &Policies) -> bool {
    let on_conversation = owned.and_then(|c| c.owner.as_ref()).and_then(|o| o.seen_at);
    if row.is_stale(row.seen_at.max(on_conversation), now, policies) {
        return true;
    }
    if policies.scaling.min_idle_workers > 0 {
        return false;
    }
    let busy = owned.is_some_and(|c| c.is_busy(now, policies));
    let quiet_since = owned.map_or(row.quiet_since, |c| row.quiet_since.max(c.active_at));
    !busy && now.since(quiet_since) >= policies.scaling.idle_timeout
}
