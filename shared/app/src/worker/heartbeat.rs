//! Heartbeat: keeps a lease alive and brings the worker's control state.

use af_domain::conversation::RecoverCause;
use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::time::{Millis, Timestamp};
use af_store::conversation::LeaseRef;

use super::control::Control;
use super::redact::redact;
use crate::conversations::recover::recover;
use crate::settings::policies;
use crate::telegram::drafts::show_progress;
use crate::{App, Result};

/// Most characters of a progress line that are stored. It is shown while the message runs.
const MAX_PROGRESS_CHARS: usize = 200;

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Whether the worker still holds the lease.
    pub held: bool,
    /// Whether the message was cancelled.
    pub cancelled: bool,
    /// When the lease expires; `None` when the worker does not hold it.
    pub lease_expires_at: Option<Timestamp>,
    /// The worker's control state.
    pub control: Control,
    /// How long to wait before the next heartbeat.
    pub next_heartbeat: Millis,
}

/// Extends lease `lease` of `worker` on `message`. A heartbeat may be sent again. A run that is longer than
/// `lease.maxRunMs` is not extended; it ends as a failed attempt.
pub async fn heartbeat(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    progress: Option<&str>,
) -> Result<Beat> {
    let policies = policies::in_force(app).await?;
    let now = app.now();
    let progress = progress.map(|p| redact(p, MAX_PROGRESS_CHARS));
    let parts = lease.parts();
    if now >= parts.claimed_at + policies.lease.max_run {
        // The heartbeat then finds that the worker does not hold the lease any more.
        recover(app, &parts.conversation, worker, RecoverCause::RunTimeout, &policies).await?;
    }
    let leased = LeaseRef { lease, message: Some(message), worker };
    let extended = app.store.heartbeat_if_leased(&leased, progress.as_deref(), now, &policies).await?;
    let Some(conversation) = extended else {
        return Ok(Beat {
            held: false,
            cancelled: false,
            lease_expires_at: None,
            control: Control::of_row(app.store.worker_now(worker).await?.as_ref()),
            next_heartbeat: policies.lease.heartbeat_interval,
        });
    };
    let policies = policies::for_agent(app, &conversation.agent).await?;
    let cancelled = conversation.lease.as_ref().is_some_and(|l| l.cancelled);
    if let Some(progress) = progress.filter(|_| !cancelled) {
        show_progress(app, message, &progress).await;
    }
    Ok(Beat {
        held: true,
        cancelled,
        lease_expires_at: conversation.lease.as_ref().map(|l| l.expires_at),
        control: Control::of_owner_until(app, &conversation, worker, &policies).await?,
        next_heartbeat: policies.lease.heartbeat_interval,
    })
}
