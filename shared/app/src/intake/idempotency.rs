//! Calls with an idempotency key. A repetition within a day has no effect and gets the same answer.
//!
//! A call that creates a resource with one transaction adds its record to the transaction, and finds it with
//! `find_record`. A call with another effect runs inside [`answered_once`].

use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;
use af_store::StoreError;
use af_store::conversation::Commit;
use af_store::idempotency::{IdempotencyRecord, IdempotentCall};
use af_store::message::body_hash;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{App, AppError, Result};

/// How long to wait while the same call is carried out.
const RETRY_AFTER: Millis = Millis::from_secs(1);

/// Describes a call. `body` is everything that a repetition must have in common, including the endpoint.
pub fn call(app: &App, caller: &str, key: &str, body: &[&str]) -> IdempotentCall {
    IdempotentCall { call: body_hash(&[caller, key]), body: body_hash(body), at: app.now() }
}

/// Carries out `effect`, whose answer a repetition of the same call gets. If the effect fails, the call can be repeated with
/// the same key. If the process dies meanwhile, it can be repeated after a minute, and `effect` runs again.
///
/// # Errors
/// Returns the error of `effect`, 409 while the same call is carried out, and 422 if the idempotency key was used with
/// another request.
pub async fn answered_once<T: Serialize + DeserializeOwned>(
    app: &App,
    once: Option<&IdempotentCall>,
    effect: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(once) = once else { return effect.await };
    let run = app.entropy.ulid(once.at);
    if let Commit::Stale = app.store.begin_call_if_new(once, &run).await? {
        let record = find_record(app, Some(once)).await?;
        // The response to the first sending of the write may have been lost. Then the record is of this run.
        if record.as_ref().is_none_or(|record| record.id != run) {
            return answer_of(once, record);
        }
    }
    let answer = match effect.await {
        Ok(answer) => answer,
        Err(error) => {
            // The caller needs the reason of the refusal more than this failure: the key is free after a minute in any case.
            if let Err(failure) = app.store.abandon_call_if_begun(once, &run).await {
                tracing::warn!(error = %failure, "the record of a failed call was not removed");
            }
            return Err(error);
        }
    };
    let json = serde_json::to_string(&answer).map_err(|error| malformed(once, &error))?;
    match app.store.finish_call_if_begun(once, &run, &json).await? {
        Commit::Done => Ok(answer),
        // This run took more than a minute, and another one has begun since.
        Commit::Stale => answer_of(once, find_record(app, Some(once)).await?),
    }
}

/// Returns the answer in the record of another run.
fn answer_of<T: DeserializeOwned>(once: &IdempotentCall, record: Option<IdempotencyRecord>) -> Result<T> {
    match record.and_then(|record| record.answer) {
        Some(json) => serde_json::from_str(&json).map_err(|error| malformed(once, &error)),
        None => {
            let detail =
                "a call with this Idempotency-Key is carried out at the moment; try again in a second";
            Err(Refusal::new(Code::Conflict, detail).after(RETRY_AFTER).into())
        }
    }
}

fn malformed(once: &IdempotentCall, error: &serde_json::Error) -> AppError {
    let problem = format!("its answer is not readable: {error}");
    StoreError::Malformed { key: once.call.clone(), problem }.into()
}

/// Returns the record of the call, if it was carried out before, or 422 if the key was used with another body.
pub(crate) async fn find_record(
    app: &App,
    call: Option<&IdempotentCall>,
) -> Result<Option<IdempotencyRecord>> {
    let Some(call) = call else { return Ok(None) };
    let record = app.store.idempotency_record(&call.call, app.now()).await?;
    if record.as_ref().is_some_and(|record| record.body != call.body) {
        let detail = "this Idempotency-Key was used with another request; use a new key for a new request";
        return Err(Refusal::new(Code::IdempotencyMismatch, detail).into());
    }
    Ok(record)
}
