//! Calls with an idempotency key that create a resource and show it once. A repetition within a day creates
//! nothing and gets the same answer.

use af_domain::refusal::{Code, Refusal};
use af_store::idempotency::{IdempotencyRecord, IdempotentCall};
use af_store::message::body_hash;

use crate::{App, Result};

/// Describes a call. `body` is everything that a repetition must have in common, including the endpoint.
pub fn call(app: &App, caller: &str, key: &str, body: &[&str]) -> IdempotentCall {
    IdempotentCall { call: body_hash(&[caller, key]), body: body_hash(body), at: app.now() }
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
