//! Calls with an idempotency key that make something and show it once: sent again within a day, they make nothing more
//! and are answered as before.

use af_domain::refusal::{Code, Refusal};
use af_store::idempotency::{IdempotencyRecord, IdempotentCall};
use af_store::message::body_hash;

use crate::{App, AppError};

/// A call as its caller names it; `body` is everything that a repetition must have in common, the endpoint included.
pub fn call(app: &App, caller: &str, key: &str, body: &[&str]) -> IdempotentCall {
    IdempotentCall { call: body_hash(&[caller, key]), body: body_hash(body), at: app.now() }
}

/// What the call has made before.
///
/// # Errors
/// 422 when it came with another body then.
pub(crate) async fn made_before(
    app: &App,
    once: Option<&IdempotentCall>,
) -> Result<Option<IdempotencyRecord>, AppError> {
    let Some(once) = once else { return Ok(None) };
    let made = app.store.idempotency_record(&once.call, app.now()).await?;
    if made.as_ref().is_some_and(|made| made.body != once.body) {
        let detail = "this Idempotency-Key came with another request; use a new key for a new request";
        return Err(Refusal::new(Code::IdempotencyMismatch, detail).into());
    }
    Ok(made)
}
