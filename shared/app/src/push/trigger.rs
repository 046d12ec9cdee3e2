//! Trigger: runs a push job now. The schedule of the job does not move.

use af_domain::ids::RunKey;
use af_domain::push::{Dispatch, DispatchSource, DispatchStatus, PushJob, PushMode};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::{Millis, Timestamp};
use af_store::idempotency::IdempotentCall;
use af_store::push::{JobPlace, Triggered};

use super::MAX_TRIES;
use super::jobs::{active_binding, at};
use super::message::{Push, to_user};
use crate::intake::enqueue::refusal_of;
use crate::intake::idempotency;
use crate::settings::policies;
use crate::{App, AppError, Result};

/// Runs a job now, also a disabled one. With `once`, a repetition of the same call returns the same dispatch.
///
/// # Errors
/// Returns 404 if the job does not exist or the user has no active binding, 409 if the user is bound to another agent or
/// the agent is disabled, and 429 if the queue is full. Nothing is written then.
pub async fn trigger(app: &App, place: &JobPlace, once: Option<&IdempotentCall>) -> Result<Dispatch> {
    let policies = policies::for_agent(app, &place.agent).await?;
    let mut key_at = app.now();
    for _ in 0..MAX_TRIES {
        let job = at(app, place).await?;
        if let Some(made) = idempotency::find_record(app, once).await? {
            let run = RunKey::parse(made.id)?;
            let found = app.store.push_dispatch(&run, app.now()).await?;
            return Ok(found.ok_or_else(|| Refusal::not_found("dispatch of this call any more"))?);
        }
        let binding = active_binding(app, &job.user, &job.agent).await?;
        let now = app.now();
        let run = RunKey::manual(&job.id, key_at);
        let push = Push::of_job(&job, run.clone(), PushMode::Manual);
        let message = match to_user(app, &binding, push, now, &policies).await? {
            Ok(message) => message,
            Err(reason) => return Err(Refusal::new(Code::AgentDisabled, reason).into()),
        };
        let record = record_of(&job, run, &message.entry.message, key_at, now);
        match app.store.trigger_if_new(&job, &record, &message, once, &policies).await? {
            Triggered::Done => return Ok(record),
            Triggered::Refused(refused) => return Err(refusal_of(&refused, &message, &policies)),
            // Two triggers in the same millisecond are two runs.
            Triggered::Stale => key_at = key_at + Millis::new(1),
            Triggered::Gone => {}
        }
    }
    Err(AppError::Overtaken("triggering a push job"))
}

fn record_of(
    job: &PushJob,
    run_key: RunKey,
    message: &af_domain::ids::MessageId,
    scheduled_for: Timestamp,
    now: Timestamp,
) -> Dispatch {
    Dispatch {
        source: DispatchSource::Job(job.id.clone()),
        run_key,
        user: Some(job.user.clone()),
        agent: job.agent.clone(),
        scheduled_for,
        status: DispatchStatus::Enqueued,
        message: Some(message.clone()),
        error: None,
        created_at: now,
    }
}
