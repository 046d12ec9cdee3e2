//! Complete and fail: how a worker ends a message.

use af_domain::conversation::{Failure, LeaseError, Outcome};
use af_domain::ids::{LeaseId, MessageId, WorkerId};
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use af_domain::worker::WorkerStatus;
use af_store::StoreError;
use af_store::conversation::{Commit, CompleteWith, Completed};

use super::history::{check_entries, check_tool_calls};
use super::{in_words, metadata};
use crate::conversations::repair::examine;
use crate::error::stale_lease;
use crate::settings::policies;
use crate::settings::policies::Settings;
use crate::{App, AppError};

/// Times a failure is decided anew when others change the conversation meanwhile.
const FAIL_TRIES_MAX: usize = 5;
/// Most bytes of a reply that are kept with the message; the item holds it beside the payload.
pub(super) const REPLY_BYTES_MAX: usize = 64 * 1024;
/// Most characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 2_000;

/// What becomes of a failed message; neither, when it was cancelled and has ended as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// It waits for its retry.
    pub requeued: bool,
    /// It is a dead letter.
    pub dead_lettered: bool,
    /// When the retry is due.
    pub next_scheduled_for: Option<Timestamp>,
}

/// Completes `message`; one that was cancelled meanwhile ends as cancelled.
///
/// # Errors
/// 409 when the lease is not in force; 422 when something in it is too large.
pub async fn complete(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    with: CompleteWith,
) -> Result<(), AppError> {
    let Settings { policies, message: config } = policies::settings(app).await?;
    // What counts is what is stored: workers repeat the text as they were handed it.
    let history = config.without_prompt(&with.history).into_owned();
    check_entries("/history", &history)?;
    check_tool_calls(with.pending_tool_calls.as_deref())?;
    if with.reply.as_ref().is_some_and(|r| r.len() > REPLY_BYTES_MAX) {
        return Err(
            Refusal::field("/reply", format!("reply may have at most {REPLY_BYTES_MAX} bytes")).into()
        );
    }
    metadata::check(&with.metadata)?;
    let with = CompleteWith { history, ..with };
    match app.store.complete_if_leased(lease, message, worker, &with, app.now(), &policies).await? {
        // The worker has nothing more to do in either case.
        Completed::Done | Completed::Cancelled => Ok(()),
        Completed::LeaseLost(_) => Err(stale_lease()),
    }
}

/// Gives `message` back after an attempt that failed.
///
/// # Errors
/// 409 when the lease is not in force.
pub async fn fail(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    error: &str,
    retryable: bool,
) -> Result<Failed, AppError> {
    give_back(app, worker, message, lease, error, Because::ItFailed { retryable }).await
}

/// Gives `message` back because the worker has to leave before it is done. Where that is our own doing the attempt does
/// not count, at most three times a message; else this is a failure.
///
/// # Errors
/// 409 when the lease is not in force.
pub async fn leave(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    error: &str,
) -> Result<Failed, AppError> {
    let because = match was_told_to_leave(app, worker).await? {
        true => Because::WeDrainedIt,
        false => Because::ItFailed { retryable: true },
    };
    give_back(app, worker, message, lease, error, because).await
}

/// Whether the worker drains by our own doing. That it crashed or fell silent is none of it.
async fn was_told_to_leave(app: &App, worker: &WorkerId) -> Result<bool, AppError> {
    let row = app.store.worker_now(worker).await?;
    Ok(row
        .is_some_and(|w| matches!(w.status, WorkerStatus::Draining { reason, .. } if reason.is_our_doing())))
}

#[derive(Clone, Copy)]
enum Because {
    ItFailed { retryable: bool },
    WeDrainedIt,
}

async fn give_back(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    lease: &LeaseId,
    error: &str,
    because: Because,
) -> Result<Failed, AppError> {
    let policies = policies::in_force(app).await?;
    let key = lease.parts().conversation;
    let error = in_words(error, ERROR_CHARS_MAX);
    for _ in 0..FAIL_TRIES_MAX {
        let now = app.now();
        let Some(conversation) = app.store.conversation(&key, true).await? else { return Err(stale_lease()) };
        let foreign = |l: &af_domain::conversation::Lease| &l.entry.message != message || &l.worker != worker;
        if conversation.lease.as_ref().is_some_and(|l| &l.id == lease && foreign(l)) {
            return Err(stale_lease());
        }
        let (error, jitter) = (error.clone(), app.entropy.unit());
        let back = match because {
            Because::ItFailed { retryable } => {
                conversation.fail(lease, Failure { error, retryable }, jitter, now, &policies)
            }
            Because::WeDrainedIt => conversation.fail_drained(lease, error, jitter, now, &policies),
        };
        let back = match back {
            Ok(back) => back,
            Err(LeaseError::AlreadyEnded(outcome)) => return failed(outcome),
            Err(LeaseError::Stale) => return Err(stale_lease()),
        };
        match app.store.fail_if_unchanged(&conversation, &back, false, now, &policies).await {
            Ok(Commit::Done) => return failed(back.outcome),
            Ok(Commit::Stale) => {}
            // The message does not exist any more: there is nothing that could be given back.
            Err(StoreError::Malformed { .. }) => {
                Box::pin(examine(app, &key, true, &policies)).await?;
                return Err(stale_lease());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(AppError::Overtaken("fail"))
}

fn failed(outcome: Outcome) -> Result<Failed, AppError> {
    match outcome {
        Outcome::Requeued { not_before } => {
            Ok(Failed { requeued: true, dead_lettered: false, next_scheduled_for: Some(not_before) })
        }
        Outcome::DeadLettered => {
            Ok(Failed { requeued: false, dead_lettered: true, next_scheduled_for: None })
        }
        Outcome::Cancelled => Ok(Failed { requeued: false, dead_lettered: false, next_scheduled_for: None }),
        Outcome::Done => Err(stale_lease()),
    }
}
