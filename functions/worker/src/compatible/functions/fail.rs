//! `workerFail {workerId, messageId, leaseId, errorMessage}` → `{requeued, deadLettered, nextScheduledFor}`

use af_app::AppError;
use af_app::worker::{Failed, fail};
use af_domain::refusal::Code;
use af_domain::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Held;
use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    #[serde(flatten)]
    held: Held,
    error_message: String,
}

/// What becomes of the message; nothing, when the caller does not hold its lease.
///
/// # Errors
/// When the table cannot answer.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let Some((message, lease)) = args.held.ids() else { return Ok(nothing()) };
    let failed = match fail(&call.app, &call.worker, &message, &lease, &args.error_message, true).await {
        Ok(failed) => failed,
        Err(AppError::Refused(refusal)) if refusal.code == Code::StaleLease => return Ok(nothing()),
        Err(error) => return Err(error),
    };
    let Failed { requeued, dead_lettered, next_scheduled_for } = failed;
    Ok(answer(requeued, dead_lettered, next_scheduled_for))
}

fn nothing() -> Value {
    answer(false, false, None)
}

fn answer(requeued: bool, dead_lettered: bool, next: Option<Timestamp>) -> Value {
    let next = next.map(Timestamp::as_millis);
    json!({"requeued": requeued, "deadLettered": dead_lettered, "nextScheduledFor": next})
}
