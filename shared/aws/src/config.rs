//! How functions call AWS: TLS, timeouts and retries.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_types::SdkConfig;

/// TCP and TLS to an endpoint in the same region take tens of milliseconds, or a few hundred on the small CPU
/// share of a cold function. A connection that takes longer than this usually never succeeds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout of one attempt, including the connection. DynamoDB answers in milliseconds, a batch of secrets
/// in hundreds. A connection that broke while the function was frozen gives no response at all, and must
/// leave time for a second attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// The timeout of one call with all attempts. The shortest function that answers requests has 10 s (webhook,
/// infra/template.yaml) and makes two calls in sequence. Even if both time out, the function answers 5xx
/// itself, with a request id and a log line, and is not cut off by Lambda.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(4_500);

/// Failures that occur at once (throttling, a reset connection) are attempted three times; slow attempts fit
/// twice into [`OPERATION_TIMEOUT`]. The caller retries as well, so more attempts would multiply the load
/// during an outage. The SDK's token bucket is unchanged: it has 500 tokens per service and process, every
/// retry takes some of them, every success returns them, and an empty bucket allows no retries.
const MAX_ATTEMPTS: u32 = 3;

/// The SDK waits a random part of this before the second attempt, and of twice this before the third. The
/// SDK's default of one second suits batch work, but not a waiting user.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// An upper limit of the backoff. It is above any wait that [`MAX_ATTEMPTS`] leads to.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// Returns the SDK configuration of a function: region, credentials and `AWS_ENDPOINT_URL` from the
/// environment (so that `cargo lambda watch` uses a running `agent-factory dev`), rustls with ring, and the
/// timeouts and retries of this module.
///
/// Call it once per process. All clients made from it share one connection pool that outlives a request, so
/// that only the first request pays for TLS. The SDK also retries after timeouts, whose result is unknown;
/// every write of this system is safe to repeat.
pub async fn sdk_config() -> SdkConfig {
    let http_client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .timeout_config(timeouts())
        .retry_config(retries());
    loader.load().await
}

/// Returns the timeouts of AWS calls. There is no separate read timeout, because it would start at the same
/// moment as the attempt timeout.
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

/// Returns the retry configuration. The mode is *standard* and not *adaptive*: adaptive mode limits a client
/// by the rate that it measures itself. An instance that serves one request at a time measures no useful
/// rate, and would delay the one request that a user waits for.
///
/// The SDK does not retry a `TransactionConflict` or another cancelled transaction. The store does.
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(INITIAL_BACKOFF)
        .with_max_backoff(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hanging_connection_leaves_time_for_a_second_attempt() {
        assert!(CONNECT_TIMEOUT < ATTEMPT_TIMEOUT);
        assert!(ATTEMPT_TIMEOUT * 2 + INITIAL_BACKOFF < OPERATION_TIMEOUT);
    }

    #[test]
    fn immediate_failures_use_all_attempts_within_the_timeout() {
        let waits: Duration = (0..MAX_ATTEMPTS - 1).map(|n| INITIAL_BACKOFF * 2_u32.pow(n)).sum();
        assert!(waits < OPERATION_TIMEOUT / 10, "{waits:?}");
    }
}
