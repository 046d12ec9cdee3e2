//! Fail: a worker ends an attempt without success and gives the message back.

use af_api::worker::outcome::FailAnswer;
use af_domain::conversation::{FailedAttempt, Failure, Lease, LeaseError, Outcome};
use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::time::Millis;
use af_domain::usage::Usage;
use af_domain::worker::WorkerStatus;
use af_store::conversation::FailOutcome;

use super::redact::redact;
use crate::conversations::repair::examine;
use crate::error::stale_lease;
use crate::outbox::apology;
use crate::settings::policies;
use crate::{App, AppError};

/// Times that a failure is decided again because the conversation has changed meanwhile. Enqueues and operators change it
/// while the worker holds the lease.
const MAX_FAIL_TRIES: usize = 5;
/// Most characters of an error that are stored.
const MAX_ERROR_CHARS: usize = 2_000;

/// What a worker reports about an attempt that failed.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Why it failed.
    pub error: &'a str,
    /// What it has used.
    pub usage: Option<Usage>,
}

impl<'a> From<&'a str> for Report<'a> {
    fn from(error: &'a str) -> Self {
        Self { error, usage: None }
    }
}

/// Gives `message` back after an attempt that failed.
///
/// # Errors
/// 409 when the lease is not in force.
pub async fn fail<'a>(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    report: impl Into<Report<'a>>,
    retry: Retry,
) -> Result<FailAnswer, AppError> {
    give_back(app, worker, message, lease, report.into(), Cause::Failure(retry)).await
}

/// Gives `message` back because the worker leaves before it is done. When the system has drained the worker the attempt does
/// not count, at most three times a message. Otherwise this is a failure.
///
/// # Errors
/// 409 when the lease is not in force.
pub async fn leave<'a>(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    report: impl Into<Report<'a>>,
) -> Result<FailAnswer, AppError> {
    let cause = leave_cause(app, worker).await?;
    give_back(app, worker, message, lease, report.into(), cause).await
}

/// Whether the message gets another attempt after a failed one, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No attempt can succeed.
    Never,
    /// After its backoff, and not before the time that the other side asked for.
    After(Option<Millis>),
}

/// Why a worker gives a message back.
#[derive(Clone, Copy)]
enum Cause {
    Failure(Retry),
    Drain,
}

/// A worker that crashed or fell silent may have been brought down by its message, so that its drain is a failure.
async fn leave_cause(app: &App, worker: &WorkerId) -> Result<Cause, AppError> {
    Ok(match app.store.worker_now(worker).await?.map(|row| row.status) {
        Some(WorkerStatus::Draining { reason, .. }) if reason.is_our_doing() => Cause::Drain,
        _ => Cause::Failure(Retry::After(None)),
    })
}

async fn give_back(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    Report { error, usage }: Report<'_>,
    cause: Cause,
) -> Result<FailAnswer, AppError> {
    let key = lease.parts().conversation;
    let error = redact(error, MAX_ERROR_CHARS);
    for _ in 0..MAX_FAIL_TRIES {
        let now = app.now();
        let Some(conversation) = app.store.conversation(&key, true).await? else { return Err(stale_lease()) };
        let policies = policies::for_agent(app, &conversation.agent).await?;
        let is_foreign = |l: &Lease| &l.entry.message != message || &l.worker != worker;
        if conversation.lease.as_ref().is_some_and(|l| &l.id == lease && is_foreign(l)) {
            return Err(stale_lease());
        }
        let (error, jitter) = (error.clone(), app.entropy.unit());
        let back = match cause {
            Cause::Failure(retry) => {
                let (retryable, retry_after) = match retry {
                    Retry::Never => (false, None),
                    Retry::After(asked) => (true, asked),
                };
                let failure = Failure { error, retryable, retry_after };
                conversation.fail(lease, failure, jitter, now, &policies)
            }
            Cause::Drain => conversation.fail_drained(lease, error, jitter, now, &policies),
        };
        let back = match back {
            Ok(back) => FailedAttempt { usage: usage.clone(), ..back },
            Err(LeaseError::AlreadyEnded(outcome)) => return failed(outcome),
            Err(LeaseError::Stale) => return Err(stale_lease()),
        };
        let notice = apology(app, &conversation, &back).await?;
        let ended = app.store.fail_if_unchanged(&conversation, &back, false, now, &policies, notice.as_ref());
        match ended.await? {
            FailOutcome::Done => return failed(back.outcome),
            FailOutcome::Stale => {}
            FailOutcome::MessageMissing => {
                Box::pin(examine(app, &key, true, &policies)).await?;
                return Err(stale_lease());
            }
        }
    }
    Err(AppError::Overtaken("fail"))
}

fn failed(outcome: Outcome) -> Result<FailAnswer, AppError> {
    let next_scheduled_for = match outcome {
        Outcome::Requeued { not_before } => Some(not_before.as_millis()),
        Outcome::DeadLettered | Outcome::Cancelled => None,
        Outcome::Done => return Err(stale_lease()),
    };
    Ok(FailAnswer {
        requeued: next_scheduled_for.is_some(),
        dead_lettered: outcome == Outcome::DeadLettered,
        next_scheduled_for,
    })
}
