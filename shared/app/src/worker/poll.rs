//! Poll: control state, claim and hydration in one request.

use af_domain::conversation::{Conversation, OwnerState};
use af_domain::ids::{ConversationId, ConversationKey, HistoryCursor, WorkerId};
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{Worker, WorkerStatus};
use af_store::conversation::Commit;
use af_store::conversation_key;

use super::claiming::{self, Wanted};
use super::ready::{is_any_ready, ready_now};
use super::{Control, assignment};
use crate::pool::lifecycle::{FinalSnapshot, finish_drain};
use crate::settings::policies;
use crate::worker::bundle::{Bundle, Job};
use crate::{App, AppError};

/// Times a release is decided anew when others change the conversation meanwhile.
const RELEASE_TRIES_MAX: usize = 3;

/// What a worker asks.
#[derive(Debug, Clone, Default)]
pub struct Poll {
    /// The conversation it believes it is assigned to.
    pub conversation: Option<ConversationId>,
    /// Whether it runs a message at the moment, and only wants its control state.
    pub busy: bool,
    /// Whether it wants the bundle with the job.
    pub hydrate: bool,
    /// The cursor of an earlier bundle.
    pub since: Option<HistoryCursor>,
    /// Whether it lets go of its conversation. Refused while it owes a final snapshot.
    pub release: bool,
    /// With `release`: it has nothing to keep of the conversation, so that it owes no snapshot.
    pub discard: bool,
    /// Whether it restores files only when it boots.
    pub restores_at_boot: bool,
}

/// What a worker is answered.
#[derive(Debug)]
pub struct Polled {
    /// What it is told about itself.
    pub control: Control,
    /// A message, if there is one for it.
    pub job: Option<Job>,
    /// The message's bundle, if it was asked for.
    pub bundle: Option<Bundle>,
    /// How long to wait before the next poll.
    pub next_poll: Millis,
    /// How long a lease lasts.
    pub lease: Millis,
    /// How long to wait between heartbeats.
    pub next_heartbeat: Millis,
}

/// Answers a poll of `worker`.
///
/// # Errors
/// When the table or a secret cannot be read. A poll that is sent again is answered the same message.
pub async fn poll(app: &App, worker: &WorkerId, request: &Poll) -> Result<Polled, AppError> {
    let policies = policies::in_force(app).await?;
    let wanted = Wanted {
        hydrate: request.hydrate,
        since: request.since.as_ref(),
        restores_at_boot: request.restores_at_boot,
        ..Wanted::by(worker, &policies)
    };
    if let Some(conversation) = request.conversation.as_ref().filter(|_| !request.release) {
        let key = conversation_key(conversation);
        let seen = look(app, worker, &key).await?;
        if let Some(owned) = seen.filter(|c| c.owner.as_ref().is_some_and(|o| &o.worker == worker)) {
            return as_owner(app, &wanted, owned, request.busy).await;
        }
    }
    as_free(app, &wanted, request).await
}

/// The worker's conversation: read, or written once a minute as a sign of life, whose answer serves as well.
pub(super) async fn look(
    app: &App,
    worker: &WorkerId,
    key: &ConversationKey,
) -> Result<Option<Conversation>, AppError> {
    if app.signs_of_life.get(worker, app.now()).is_some() {
        return Ok(app.store.conversation(key, false).await?);
    }
    seen(app, worker, key).await
}

/// An owner's sign of life; `None` when the worker does not own the conversation.
async fn seen(app: &App, worker: &WorkerId, key: &ConversationKey) -> Result<Option<Conversation>, AppError> {
    let now = app.now();
    let seen = app.store.seen_if_owner(key, worker, now).await?;
    if seen.is_some() {
        app.signs_of_life.put(worker.clone(), (), now);
    }
    Ok(seen)
}

pub(super) async fn as_owner(
    app: &App,
    wanted: &Wanted<'_>,
    conversation: Conversation,
    busy: bool,
) -> Result<Polled, AppError> {
    let now = app.now();
    let control = Control::of_owner_until(app, &conversation, wanted.worker, wanted.policies).await?;
    if busy || control.should_stop {
        return Ok(answer(control, None, &conversation, wanted.policies, now));
    }
    let quiet = conversation.clone();
    let job = claiming::owned(app, wanted, conversation).await?;
    let control = match &job {
        Some(_) => Control::default(),
        None if control.switch.is_some() && !is_wanted(app, &quiet, wanted.policies).await? => {
            Control { switch: None, ..control }
        }
        None => control,
    };
    Ok(answer(control, job, &quiet, wanted.policies, now))
}

/// Whether another conversation waits for this worker, whose own is quiet. When none does, it is not asked again
/// before reconcile finds one.
pub(super) async fn is_wanted(
    app: &App,
    quiet: &Conversation,
    policies: &Policies,
) -> Result<bool, AppError> {
    if is_any_ready(app, policies).await? {
        return Ok(true);
    }
    app.store.ask_to_switch_if_owned(quiet, false).await?;
    Ok(false)
}

async fn as_free(app: &App, wanted: &Wanted<'_>, request: &Poll) -> Result<Polled, AppError> {
    let now = app.now();
    let candidates = async {
        match request.busy {
            true => Ok(Vec::new()),
            false => ready_now(app, wanted.policies).await,
        }
    };
    let (row, candidates) = tokio::join!(row_of(app, wanted.worker), candidates);
    let Some(row) = row? else { return Ok(gone(wanted.policies)) };
    match row.status {
        WorkerStatus::Active => {}
        WorkerStatus::Draining { .. } => {
            still_here(app, wanted.worker).await?;
            if request.release && request.discard {
                finish_drain(app, wanted.worker, FinalSnapshot::Waived, wanted.policies).await?;
            }
            return Ok(idle(Control::of_row(Some(&row)), row.quiet_since, wanted.policies, now));
        }
        WorkerStatus::Stopping { .. } | WorkerStatus::Stopped { .. } => return Ok(gone(wanted.policies)),
    }
    let own = own_of(app, &row).await?;
    if let Some(conversation) = own {
        let lets_go = request.release && request.conversation.as_ref() == Some(&conversation.id);
        if !lets_go || !let_go(app, wanted, &row, conversation.clone(), request.discard).await? {
            return as_owner(app, wanted, conversation, request.busy).await;
        }
    }
    if !request.busy {
        if let Some((job, bundle)) = claiming::one_of(app, wanted, candidates?).await? {
            // The claim was a sign of life, too.
            app.signs_of_life.put(wanted.worker.clone(), (), now);
            let conversation = job.conversation.clone();
            return Ok(answer(Control::default(), Some((job, bundle)), &conversation, wanted.policies, now));
        }
        claiming::make_way(app, wanted).await?;
    }
    still_here(app, wanted.worker).await?;
    Ok(idle(Control::default(), row.quiet_since, wanted.policies, now))
}

/// The worker's row: read, or written once a minute as a sign of life, whose answer serves as well.
async fn row_of(app: &App, worker: &WorkerId) -> Result<Option<Worker>, AppError> {
    let now = app.now();
    if app.signs_of_life.get(worker, now).is_some() {
        return match app.store.worker(worker).await? {
            // It may have been registered a moment ago.
            None => Ok(app.store.worker_now(worker).await?),
            row => Ok(row),
        };
    }
    let row = app.store.seen_if_registered(worker, now).await?;
    app.signs_of_life.put(worker.clone(), (), now);
    Ok(row)
}

/// Requires that the worker's life is not over, and writes its sign of life, if it is due.
///
/// # Errors
/// 401 when it has stopped; when its row cannot be read or written.
pub async fn alive(app: &App, worker: &WorkerId) -> Result<(), AppError> {
    may_still_ask(app, worker).await?;
    still_here(app, worker).await
}

/// Requires that the worker's life is not over, and writes nothing: one that still boots has its grace until its first
/// sign of life, and much less time after it.
///
/// # Errors
/// 401 when it has stopped; when its row cannot be read.
pub async fn may_still_ask(app: &App, worker: &WorkerId) -> Result<(), AppError> {
    assignment(app, worker).await.map(drop)
}

/// Writes the worker's sign of life, if it is due.
///
/// # Errors
/// When it cannot be written.
pub(super) async fn still_here(app: &App, worker: &WorkerId) -> Result<(), AppError> {
    let now = app.now();
    if app.signs_of_life.get(worker, now).is_none() {
        app.store.seen_if_registered(worker, now).await?;
        app.signs_of_life.put(worker.clone(), (), now);
    }
    Ok(())
}

/// The conversation that the worker owns, with a sign of life if that is due. A row that was read out of date may name
/// one that it has let go of.
async fn own_of(app: &App, row: &Worker) -> Result<Option<Conversation>, AppError> {
    let Some(assignment) = &row.assignment else { return Ok(None) };
    let now = app.now();
    if app.signs_of_life.get(&row.id, now).is_some() {
        let conversation = app.store.conversation(&assignment.key, true).await?;
        return Ok(conversation.filter(|c| c.owner.as_ref().is_some_and(|o| o.worker == row.id)));
    }
    seen(app, &row.id, &assignment.key).await
}

/// Lets go of a quiet conversation; `false` when it is not quiet any more, or the worker has files of it that no
/// snapshot holds and that it does not `discard`: it had better stay.
async fn let_go(
    app: &App,
    wanted: &Wanted<'_>,
    row: &Worker,
    mut conversation: Conversation,
    discard: bool,
) -> Result<bool, AppError> {
    for _ in 0..RELEASE_TRIES_MAX {
        let now = app.now();
        if conversation.owes_snapshot() && !discard {
            return Ok(false);
        }
        let is_active = conversation.owner.as_ref().is_some_and(|o| o.state == OwnerState::Active);
        let Some(free) = conversation.released_by(wanted.worker, now, wanted.policies).filter(|_| is_active)
        else {
            return Ok(false);
        };
        if let Commit::Done = app.store.release_if_quiet(row, &conversation, &free, wanted.policies).await? {
            return Ok(true);
        }
        match app.store.conversation(&conversation.key, true).await? {
            Some(newer) => conversation = newer,
            None => return Ok(false),
        }
    }
    Ok(false)
}

fn answer(
    control: Control,
    job: Option<(Job, Option<Bundle>)>,
    conversation: &Conversation,
    policies: &Policies,
    now: Timestamp,
) -> Polled {
    let polled = idle(control, conversation.active_at, policies, now);
    match job {
        Some((job, bundle)) => Polled { job: Some(job), bundle, ..polled },
        None => polled,
    }
}

/// What a worker is answered whose token has expired, whatever it asks.
///
/// # Errors
/// When the policies cannot be read.
pub async fn expired(app: &App) -> Result<Polled, AppError> {
    Ok(stopped("token_expired", &policies::in_force(app).await?))
}

fn gone(policies: &Policies) -> Polled {
    stopped("unknown_worker", policies)
}

fn stopped(reason: &'static str, policies: &Policies) -> Polled {
    idle(Control::stop(reason), Timestamp::default(), policies, Timestamp::default())
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
