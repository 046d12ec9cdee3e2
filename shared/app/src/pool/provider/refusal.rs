//! A provider's error as the answer to an operator.

use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;
use af_providers::ProviderError;

use crate::AppError;

/// The refusal for a call of an operator that failed at the provider.
pub(super) fn refused(error: ProviderError) -> AppError {
    let detail = error.to_string();
    match error {
        ProviderError::NotFound { .. } => Refusal::new(Code::NotFound, detail),
        ProviderError::Precondition { .. } | ProviderError::Rejected { .. } => {
            Refusal::new(Code::Conflict, detail)
        }
        ProviderError::RateLimited { retry_after } => {
            let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            Refusal::new(Code::RateLimited, detail).after(Millis::new(millis))
        }
        ProviderError::Auth { .. }
        | ProviderError::NoToken { .. }
        | ProviderError::NotAvailable { .. }
        | ProviderError::SwitchedOff(_) => Refusal::new(Code::NotConfigured, detail),
        ProviderError::Unavailable { .. } => {
            tracing::warn!(%error, "the provider cannot be reached");
            Refusal::new(Code::Unavailable, detail)
        }
    }
    .into()
}
