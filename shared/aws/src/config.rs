//! How AWS is reached from a function: TLS, timeouts, retries.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_types::SdkConfig;

/// TCP and TLS to an endpoint in our own region take tens of milliseconds, a few hundred on the small share of a
/// processor that a cold function has. What takes longer will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// One try, connecting included. DynamoDB answers in milliseconds, a batch of secrets in hundreds; a connection
/// that died while the function was frozen says nothing at all, and must leave time for another try.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// One call with all its tries. The shortest function that answers requests has 10 s (webhook, infra/template.yaml)
/// and needs two calls in a row: even then it answers 5xx itself, with a request id and a line in the log, instead
/// of being cut off by Lambda.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(4_500);

/// Failures that come at once (throttling, a reset connection) are tried three times; slow ones fit twice into
/// [`OPERATION_TIMEOUT`]. Whoever called us tries again as well, so more would multiply the load of an outage. The
/// SDK's bucket of tokens, one for each service in a process, is left as it is: every further try takes some of its 500,
/// success gives them back, and when there are none, a call is tried once.
const MAX_ATTEMPTS: u32 = 3;

/// The SDK waits a random part of this before the second try, and of twice this before the third. Its default of
/// one second is meant for batch work, not for somebody who waits.
const BACKOFF_INITIAL: Duration = Duration::from_millis(50);

/// Above any wait that [`MAX_ATTEMPTS`] leads to; a ceiling should that number grow.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// The SDK's configuration for a function: the environment's region, credentials and `AWS_ENDPOINT_URL` (so that
/// `cargo lambda watch` talks to a running `agent-factory dev`), rustls with ring, and our timeouts and retries.
///
/// Call it once per process: every client made from it shares one pool of connections, which outlive a request, so that
/// only the first pays for TLS. Tries are repeated after timeouts too, whose outcome is unknown; every write of ours is
/// safe to send twice.
pub async fn sdk_config() -> SdkConfig {
    let http_client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .timeout_config(timeouts())
        .retry_config(retries());
    loader.load().await
}

/// How long AWS may take. The client has no read timeout of its own: it would count from the same moment as that of the
/// whole try, connecting included, and so be a second name for it.
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

/// How often a call is tried. The mode is *standard* and not *adaptive*: adaptive slows a client down by the rate that
/// it measured itself, and an instance that serves one request at a time measures nothing; what it held back would be
/// the one request that somebody waits for.
///
/// A `TransactionConflict`, and whatever cancels a transaction, is no error that the SDK tries again. The store does.
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(BACKOFF_INITIAL)
        .with_max_backoff(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_connection_leaves_time_for_another_try() {
        assert!(CONNECT_TIMEOUT < ATTEMPT_TIMEOUT);
        assert!(ATTEMPT_TIMEOUT * 2 + BACKOFF_INITIAL < OPERATION_TIMEOUT);
    }

    #[test]
    fn failures_that_come_at_once_are_tried_as_often_as_may_be() {
        let waits: Duration = (0..MAX_ATTEMPTS - 1).map(|n| BACKOFF_INITIAL * 2_u32.pow(n)).sum();
        assert!(waits < OPERATION_TIMEOUT / 10, "{waits:?}");
    }
}
