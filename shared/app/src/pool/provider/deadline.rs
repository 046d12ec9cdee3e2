//! Calls to a provider with a deadline.

use af_providers::ProviderError;
use tokio::time::Instant;

/// Returns the answer of a call, or `Unavailable` if there is none by `until`.
pub(crate) async fn answer_by<T>(
    until: Instant,
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    let no_answer = || ProviderError::Unavailable { reason: "no answer in time".to_owned(), source: None };
    tokio::time::timeout_at(until, call).await.unwrap_or_else(|_| Err(no_answer()))
}
