//! How a function's result becomes its answer.

use af_app::AppError;
use af_domain::refusal::Code;
use serde::Serialize;
use serde_json::Value;

/// A function's result as JSON.
///
/// # Errors
/// When it has no JSON form.
pub fn value(result: &impl Serialize) -> Result<Value, AppError> {
    serde_json::to_value(result)
        .map_err(|source| AppError::Unreadable { what: "a function's result", source })
}

/// `true` for success; `false` when the current state does not allow the change, for example because the lease has
/// ended or the snapshot is already ready.
///
/// # Errors
/// Any other error.
pub fn is_done(result: Result<(), AppError>) -> Result<bool, AppError> {
    match result {
        Ok(()) => Ok(true),
        Err(AppError::Refused(refusal)) if is_about_state(refusal.code) => Ok(false),
        Err(error) => Err(error),
    }
}

const fn is_about_state(code: Code) -> bool {
    matches!(code, Code::StaleLease | Code::StaleSnapshot | Code::Conflict)
}
