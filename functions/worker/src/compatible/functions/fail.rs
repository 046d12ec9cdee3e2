//! `workerFail {workerId, messageId, leaseId, errorMessage}` → `{requeued, deadLettered, nextScheduledFor}`

use af_api::worker::compatible::{FailArgs, LeaseIds};
use af_api::worker::outcome::FailAnswer;
use af_app::AppError;
use af_app::worker::{Retry, fail};
use af_domain::refusal::Code;

use crate::compatible::call::Call;

/// The answer to a caller that does not hold the lease.
const NOTHING_CHANGED: FailAnswer =
    FailAnswer { requeued: false, dead_lettered: false, next_scheduled_for: None };

/// What happens to the message; nothing when the caller does not hold its lease.
pub async fn run(mut call: Call) -> Result<FailAnswer, AppError> {
    let args: FailArgs = call.args()?;
    let Some(LeaseIds { message, lease }) = args.lease.ids() else { return Ok(NOTHING_CHANGED) };
    match fail(&call.app, &call.worker, &message, &lease, args.error_message.as_str(), Retry::After(None))
        .await
    {
        Err(AppError::Refused(refusal)) if refusal.code == Code::StaleLease => Ok(NOTHING_CHANGED),
        result => result,
    }
}
