//! Heartbeat: keeps a lease alive and brings the worker's control state.

use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::time::{Millis, Timestamp};
use af_store::conversation::LeaseRef;

use super::{Control, in_words};
use crate::settings::policies;
use crate::{App, AppError};

/// Most characters of a progress line that are kept: it is shown, not stored for good.
const PROGRESS_CHARS_MAX: usize = 200;

/// What a worker is answered to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Whether the lease is still its own.
    pub held: bool,
    /// Whether the message was cancelled.
    pub cancelled: bool,
    /// Until when the lease lasts; `None` when it is not held.
    pub lease_expires_at: Option<Timestamp>,
    /// What the worker is told about itself.
    pub control: Control,
    /// How long to wait before the next heartbeat.
    pub next_heartbeat: Millis,
}

/// Extends lease `lease` of `worker` on `message`.
///
/// # Errors
/// When the table cannot answer; a heartbeat may be sent again.
pub async fn heartbeat(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    progress: Option<&str>,
) -> Result<Beat, AppError> {
    let policies = policies::in_force(app).await?;
    let now = app.now();
    let progress = progress.map(|p| in_words(p, PROGRESS_CHARS_MAX));
    let held = LeaseRef { lease, message: Some(message), worker };
    let next_heartbeat = policies.lease.heartbeat_interval;
    let kept = app.store.heartbeat_if_leased(&held, progress.as_deref(), now, &policies).await?;
    Ok(match kept {
        Some(conversation) => Beat {
            held: true,
            cancelled: conversation.lease.as_ref().is_some_and(|l| l.cancelled),
            lease_expires_at: conversation.lease.as_ref().map(|l| l.expires_at),
            control: Control::of_owner_until(app, &conversation, worker, &policies).await?,
            next_heartbeat,
        },
        None => Beat {
            held: false,
            cancelled: false,
            lease_expires_at: None,
            control: Control::of_row(app.store.worker_now(worker).await?.as_ref()),
            next_heartbeat,
        },
    })
}
