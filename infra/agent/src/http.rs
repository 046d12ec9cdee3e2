//! What every HTTP client of the worker has in common.

use std::time::Duration;

use reqwest::{Response, Url, header};

/// Time a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for the server at `base`, whose calls may take `timeout` each, or any time.
pub fn client(base: &str, timeout: Option<Duration>) -> Result<reqwest::Client, reqwest::Error> {
    // A followed redirect would carry the token elsewhere, and this machine needs no proxy to reach itself.
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(timeout) = timeout {
        builder = builder.timeout(timeout);
    }
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder.build()
}

/// How long the server asks to wait.
pub fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// As much of a body as comes, at most `bytes_max` and a chunk.
pub async fn read_start(mut response: Response, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= bytes_max {
            break;
        }
    }
    bytes
}

fn is_loopback(base: &str) -> bool {
    Url::parse(base)
        .ok()
        .is_some_and(|url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")))
}
