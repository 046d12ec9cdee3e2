//! What every HTTP client of the worker has in common.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Response, Url, header};

/// Time a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time that a file may take behind a link: a message's attachment has 20 MB at most.
const LINK_TIMEOUT: Duration = Duration::from_secs(60);
/// Redirections that a link may have: one leads to the bucket.
const LINK_REDIRECTS_MAX: usize = 3;

/// A client for the server at `base`, whose calls may take `timeout` each, or any time.
pub fn client(base: &str, timeout: Option<Duration>) -> Result<reqwest::Client, reqwest::Error> {
    // A followed redirect would carry the token elsewhere.
    let builder = reaching(base).redirect(Policy::none());
    match timeout {
        Some(timeout) => builder.timeout(timeout).build(),
        None => builder.build(),
    }
}

/// A client for the links that the server at `base` hands out, which need no token and lead on to the bucket.
pub fn link_client(base: &str) -> Result<reqwest::Client, reqwest::Error> {
    reaching(base).redirect(Policy::limited(LINK_REDIRECTS_MAX)).timeout(LINK_TIMEOUT).build()
}

fn reaching(base: &str) -> ClientBuilder {
    let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).referer(false);
    // This machine needs no proxy to reach itself.
    if is_loopback(base) { builder.no_proxy() } else { builder }
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
