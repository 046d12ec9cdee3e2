//! Whether a worker shall leave, as published images are told: they know nothing but yes and no.

use af_domain::conversation::Conversation;
use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use af_domain::worker::{Worker, WorkerStatus};

use super::Control;
use super::poll::{is_wanted, still_here};
use crate::settings::policies;
use crate::{App, AppError};

/// Whether `worker` shall leave: it is unknown or not active, was silent for too long, or has had nothing to do for the
/// idle timeout, unless some workers are kept although nobody talks: which ones, reconcile decides. Where others wait and
/// its conversation is quiet, it leaves, too: it cannot let go of one and take another. Its silence is judged on what
/// stood there before this call, which is a sign of life itself.
///
/// # Errors
/// When the table cannot answer.
pub async fn should_stop(app: &App, worker: &WorkerId) -> Result<bool, AppError> {
    let policies = policies::in_force(app).await?;
    // Strongly: a worker that has just been registered must not be told to stop.
    let row = app.store.worker_now(worker).await?;
    let Some(row) = row.filter(|row| row.status == WorkerStatus::Active) else { return Ok(true) };
    let conversation = match &row.assignment {
        Some(assignment) => app.store.conversation(&assignment.key, false).await?,
        None => None,
    };
    let owned = conversation.filter(|c| c.owner.as_ref().is_some_and(|o| &o.worker == worker));
    let now = app.now();
    let stop = match &owned {
        owned if is_over(&row, owned.as_ref(), now, &policies) => true,
        Some(quiet) if Control::of_owner(quiet, worker, &policies, now).switch.is_some() => {
            is_wanted(app, quiet, &policies).await?
        }
        _ => false,
    };
    still_here(app, worker).await?;
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
