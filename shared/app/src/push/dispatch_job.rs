//! The dispatch of one due push job.

use af_domain::agent::Binding;
use af_domain::ids::RunKey;
use af_domain::policy::Policies;
use af_domain::push::{Dispatch, DispatchSource, DispatchStatus, Due, PushJob, PushMode, Slot, due};
use af_domain::time::{Millis, Timestamp};
use af_runtime::metric::Metric;
use af_store::conversation::NewMessage;
use af_store::push::{Dispatched, JobPlace, Run};

use super::MAX_TRIES;
use super::message::{MessageOrReason, Push, reason_of, to_user};
use crate::intake::enqueue::refusal_of;
use crate::settings::policies;
use crate::{App, AppError, Result};

/// When a dispatcher looks again at a job whose next run cannot be computed. An operator may have changed it by then.
pub(super) const LOOK_AGAIN: Millis = Millis::from_secs(3_600);

/// The result of the dispatch of a due job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct JobOutcome {
    pub enqueued: u64,
    pub failed: u64,
    pub skipped: u64,
}

/// Dispatches the slots of a job that have come. Another dispatcher may do the same at the same time: the transaction of one
/// of them counts, and the other one finds the job changed.
pub(super) async fn dispatch(app: &App, job: PushJob, binding: Option<&Binding>) -> Result<JobOutcome> {
    let policies = policies::for_agent(app, &job.agent).await?;
    let mut outcome = JobOutcome::default();
    let mut current = Some(job);
    let mut is_known = false;
    for _ in 0..MAX_TRIES {
        let now = app.now();
        let Some((job, decided)) = current.take().and_then(|job| due(&job, now).map(|due| (job, due))) else {
            return Ok(outcome);
        };
        let mut step = if is_known {
            Step::without_records(&job, decided, now)
        } else {
            Step::of(app, &job, decided, binding, now, &policies).await?
        };
        let dispatched = step.commit(app, &job, now, &policies).await?;
        is_known = dispatched == Dispatched::Known;
        if dispatched == Dispatched::Done {
            outcome.count(&step.records);
            if step.next.at > now || step.look_again_at.is_some() {
                return Ok(outcome);
            }
        }
        let place = JobPlace { user: job.user, agent: job.agent, id: job.id };
        current = app.store.push_job(&place).await?;
    }
    Err(AppError::Overtaken("dispatching a push job"))
}

/// Records the slots of `job` that have come as skipped, because a caller is about to change or delete the job. Returns
/// whether the job must be read again.
pub(super) async fn skip_due(app: &App, job: &PushJob) -> Result<bool> {
    let now = app.now();
    let Some(due) = due(job, now) else { return Ok(false) };
    let policies = policies::for_agent(app, &job.agent).await?;
    let slots = due.skipped.iter().chain(&due.run);
    let records: Vec<Dispatch> = slots
        .map(|slot| {
            let error = Some("a caller changed or deleted the job before this slot could run".to_owned());
            record_of(job, slot, DispatchStatus::Skipped, error, now)
        })
        .collect();
    let step = Step { records, ..Step::without_records(job, due, now) };
    if step.records.is_empty() {
        return Ok(false);
    }
    Ok(match app.store.dispatch_if_unchanged(&step.run(job), now, &policies).await? {
        Dispatched::Done | Dispatched::Stale => true,
        // The slots have their records. A job whose next run cannot be computed keeps its last slot.
        Dispatched::Known | Dispatched::Refused(_) => false,
    })
}

impl JobOutcome {
    fn count(&mut self, records: &[Dispatch]) {
        for record in records {
            match record.status {
                DispatchStatus::Enqueued => self.enqueued += 1,
                DispatchStatus::Failed => self.failed += 1,
                DispatchStatus::Skipped => self.skipped += 1,
            }
        }
    }
}

/// The writes that end the slots of a job.
struct Step {
    records: Vec<Dispatch>,
    message: Option<NewMessage>,
    next: Slot,
    look_again_at: Option<Timestamp>,
}

impl Step {
    async fn of(
        app: &App,
        job: &PushJob,
        due: Due,
        binding: Option<&Binding>,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Self> {
        let skipped = due.skipped.iter().map(|slot| {
            let error = Some("a later slot came before this one could run".to_owned());
            record_of(job, slot, DispatchStatus::Skipped, error, now)
        });
        let mut records: Vec<Dispatch> = skipped.collect();
        let mut message = None;
        if let Some(slot) = &due.run {
            let run = RunKey::scheduled(&job.id, slot.at);
            match message_for(app, job, run, binding, now, policies).await? {
                Ok(new) => {
                    let id = new.entry.message.clone();
                    let record = record_of(job, slot, DispatchStatus::Enqueued, None, now);
                    records.push(Dispatch { message: Some(id), ..record });
                    message = Some(new);
                }
                Err(reason) => {
                    records.push(record_of(job, slot, DispatchStatus::Failed, Some(reason), now));
                }
            }
        }
        Ok(Self { records, message, ..Self::without_records(job, due, now) })
    }

    /// The writes that only move the job on, because the slots are recorded already.
    fn without_records(job: &PushJob, due: Due, now: Timestamp) -> Self {
        let (next, look_again_at) = match due.next {
            Ok(next) => (next, None),
            Err(error) => {
                let (job, zone) = (&job.id, &job.zone);
                Metric::PushScheduleError.count();
                tracing::warn!(
                    %job, %zone, %error,
                    "the next run of a push job cannot be computed; the job keeps its last slot"
                );
                (due.last, Some(now + LOOK_AGAIN))
            }
        };
        Self { records: Vec::new(), message: None, next, look_again_at }
    }

    fn run<'a>(&'a self, job: &'a PushJob) -> Run<'a> {
        Run {
            job,
            records: &self.records,
            message: self.message.as_ref(),
            next: self.next,
            look_again_at: self.look_again_at,
        }
    }

    async fn commit(
        &mut self,
        app: &App,
        job: &PushJob,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Dispatched> {
        let dispatched = app.store.dispatch_if_unchanged(&self.run(job), now, policies).await?;
        let (Dispatched::Refused(refused), Some(message)) = (&dispatched, &self.message) else {
            return Ok(dispatched);
        };
        let reason = reason_of(refusal_of(refused, message, policies))?;
        if let Some(record) = self.records.last_mut() {
            record.status = DispatchStatus::Failed;
            record.message = None;
            record.error = Some(reason);
        }
        let run = Run { records: &self.records, message: None, ..self.run(job) };
        Ok(app.store.dispatch_if_unchanged(&run, now, policies).await?)
    }
}

async fn message_for(
    app: &App,
    job: &PushJob,
    run: RunKey,
    binding: Option<&Binding>,
    now: Timestamp,
    policies: &Policies,
) -> Result<MessageOrReason> {
    match binding {
        Some(binding) if binding.agent == job.agent => {
            to_user(app, binding, Push::of_job(job, run, PushMode::Scheduled), now, policies).await
        }
        Some(binding) => {
            Ok(Err(format!("user {} is bound to agent {}, not to {}", job.user, binding.agent, job.agent)))
        }
        None => Ok(Err(format!("user {} has no active binding", job.user))),
    }
}

fn record_of(
    job: &PushJob,
    slot: &Slot,
    status: DispatchStatus,
    error: Option<String>,
    now: Timestamp,
) -> Dispatch {
    Dispatch {
        source: DispatchSource::Job(job.id.clone()),
        run_key: RunKey::scheduled(&job.id, slot.at),
        user: Some(job.user.clone()),
        agent: job.agent.clone(),
        scheduled_for: slot.at,
        status,
        message: None,
        error,
        created_at: now,
    }
}
