//! Poll: control state, claim and hydration in one request.

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::policy::Policies;
use af_domain::pool::ReadyConversation;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{Worker, WorkerStatus};
use af_store::{StoreError, conversation_key};

use super::claim_next::{FreeClaim, claim_owned, claim_ready, drain_if_skipped};
use super::claim_request::{ClaimRequest, Wants};
use super::control::Control;
use super::deliver_job::Delivered;
use super::ready::{ready_now, should_switch};
use super::release::{Ownership, release};
use super::signs_of_life::{
    note_sign_of_life, owned_by_row, read_or_touch_owned, read_or_touch_worker, touch_worker,
};
use crate::pool::lifecycle::{FinalSnapshot, finish_drain};
use crate::settings::policies;
use crate::worker::bundle::{Bundle, Job};
use crate::{App, Result};

/// What a worker asks.
#[derive(Debug, Clone, Default)]
pub struct Poll {
    /// The conversation that the worker believes it owns.
    pub conversation: Option<ConversationId>,
    /// What the worker wants besides its control state.
    pub wants: Wants,
    /// What the worker does with that conversation.
    pub ownership: Ownership,
    /// Whether the worker restores files only when it boots.
    pub restores_at_boot: bool,
    /// How long the worker is ready to wait for a message.
    pub wait: Millis,
}

/// The answer to a poll.
#[derive(Debug)]
pub struct Polled {
    /// The worker's control state.
    pub control: Control,
    /// A message, if there is one for the worker.
    pub job: Option<Job>,
    /// The message's bundle, if the worker wants it.
    pub bundle: Option<Bundle>,
    /// How long to wait before the next poll.
    pub next_poll: Millis,
    /// How long a lease lasts.
    pub lease: Millis,
    /// How long to wait between heartbeats.
    pub next_heartbeat: Millis,
}

impl Polled {
    /// Whether the worker has nothing to do.
    fn is_idle(&self) -> bool {
        self.job.is_none() && !self.control.should_stop && self.control.switch.is_none()
    }
}

/// The longest wait of a poll where waiting is free.
const MAX_FREE_WAIT: Millis = Millis::from_secs(20);

/// Answers a poll of `worker`: at once if there is a message for it or it must do something, otherwise as soon as there is,
/// or after the wait. A poll that is sent again is answered the same message.
pub async fn poll(app: &App, worker: &WorkerId, request: &Poll) -> Result<Polled> {
    let allowed =
        if app.waits.are_free() { MAX_FREE_WAIT } else { policies::in_force(app).await?.poll.max_wait };
    let may_wait = request.wants != Wants::ControlOnly && request.ownership == Ownership::Keep;
    let wait = if may_wait { request.wait.min(allowed) } else { Millis::default() };
    let mut looks = app.waits.looks(wait);
    // On the heap, because the state of a poll is large, and callers keep the state of this function on their stack.
    let mut polled = Box::pin(poll_once(app, worker, request)).await?;
    while polled.is_idle() && looks.next().await {
        polled = Box::pin(poll_once(app, worker, request)).await?;
    }
    if polled.is_idle() && wait > Millis::default() {
        polled.next_poll = Millis::default();
    }
    Ok(polled)
}

async fn poll_once(app: &App, worker: &WorkerId, request: &Poll) -> Result<Polled> {
    let policies = policies::in_force(app).await?;
    let claim = ClaimRequest {
        worker,
        wants: &request.wants,
        policies: &policies,
        restores_at_boot: request.restores_at_boot,
    };
    if let Some(named) = request.conversation.as_ref().filter(|_| request.ownership == Ownership::Keep) {
        let owned = read_or_touch_owned(app, worker, &conversation_key(named)).await?;
        if let Some(owned) = owned {
            return poll_as_owner(app, &claim, owned).await;
        }
    }
    poll_by_row(app, &claim, request).await
}

/// Answers the owner of `conversation`.
pub(super) async fn poll_as_owner(
    app: &App,
    request: &ClaimRequest<'_>,
    conversation: Conversation,
) -> Result<Polled> {
    let (now, policies) = (app.now(), request.policies);
    let control = Control::of_owner_until(app, &conversation, request.worker, policies).await?;
    let active_at = conversation.active_at;
    if control.should_stop {
        return Ok(idle(control, active_at, policies, now));
    }
    if *request.wants != Wants::ControlOnly
        && let Some(delivered) = claim_owned(app, request, conversation.clone()).await?
    {
        return Ok(with_job(delivered, active_at, policies, now));
    }
    let stays = control.switch.is_some() && !should_switch(app, &conversation, policies).await?;
    let switch = control.switch.filter(|_| !stays);
    Ok(idle(Control { switch, ..control }, active_at, policies, now))
}

/// Answers a worker whose conversation, if it has one, only its row names. The ready index is read at the same time as the
/// row, because most of these workers have no conversation.
async fn poll_by_row(app: &App, claim: &ClaimRequest<'_>, request: &Poll) -> Result<Polled> {
    let (now, policies) = (app.now(), claim.policies);
    let (row, candidates) = tokio::join!(read_or_touch_worker(app, claim.worker), candidates(app, claim));
    let Some(row) = row? else { return Ok(gone(policies)) };
    match row.status {
        WorkerStatus::Active => {}
        WorkerStatus::Draining { .. } => return poll_while_draining(app, claim, request, &row).await,
        WorkerStatus::Stopping { .. } | WorkerStatus::Stopped { .. } => return Ok(gone(policies)),
    }
    if let Some(conversation) = owned_by_row(app, &row).await? {
        let is_named = request.conversation.as_ref() == Some(&conversation.id);
        if !is_named || !release(app, &row, &conversation, request.ownership, policies).await? {
            return poll_as_owner(app, claim, conversation).await;
        }
    }
    let outcome = claim_ready(app, claim, candidates?).await?;
    drain_if_skipped(app, claim, &outcome).await?;
    match outcome {
        FreeClaim::Claimed(delivered) => {
            // The claim was a sign of life, too.
            note_sign_of_life(app, claim.worker);
            let active_at = delivered.job.conversation.active_at;
            Ok(with_job(*delivered, active_at, policies, now))
        }
        FreeClaim::Nothing | FreeClaim::Skipped => {
            touch_worker(app, claim.worker).await?;
            Ok(idle(Control::default(), row.quiet_since, policies, now))
        }
    }
}

/// The conversations that the worker may claim.
async fn candidates(app: &App, claim: &ClaimRequest<'_>) -> Result<Vec<ReadyConversation>, StoreError> {
    match claim.wants {
        Wants::ControlOnly => Ok(Vec::new()),
        Wants::Job | Wants::JobWithBundle { .. } => ready_now(app, claim.policies).await,
    }
}

/// Answers a draining worker. One that discards its files owes no final snapshot, so its drain is finished at once.
async fn poll_while_draining(
    app: &App,
    claim: &ClaimRequest<'_>,
    request: &Poll,
    row: &Worker,
) -> Result<Polled> {
    let now = app.now();
    touch_worker(app, claim.worker).await?;
    if request.ownership == Ownership::Discard {
        finish_drain(app, claim.worker, FinalSnapshot::Waived, claim.policies).await?;
    }
    Ok(idle(Control::of_row(Some(row)), row.quiet_since, claim.policies, now))
}

/// The answer to any call of a worker whose token has expired.
pub async fn expired(app: &App) -> Result<Polled> {
    Ok(stopped("token_expired", &policies::in_force(app).await?))
}

fn gone(policies: &Policies) -> Polled {
    stopped("unknown_worker", policies)
}

fn stopped(reason: &'static str, policies: &Policies) -> Polled {
    idle(Control::stop(reason), Timestamp::default(), policies, Timestamp::default())
}

fn with_job(delivered: Delivered, quiet_since: Timestamp, policies: &Policies, now: Timestamp) -> Polled {
    let Delivered { job, bundle } = delivered;
    Polled { job: Some(job), bundle, ..idle(Control::default(), quiet_since, policies, now) }
}

fn idle(control: Control, quiet_since: Timestamp, policies: &Policies, now: Timestamp) -> Polled {
    let is_idle = now.since(quiet_since) >= policies.poll.idle_after;
    Polled {
        control,
        job: None,
        bundle: None,
        next_poll: if is_idle { policies.poll.idle } else { policies.poll.active },
        lease: policies.lease.lease,
        next_heartbeat: policies.lease.heartbeat_interval,
    }
}
