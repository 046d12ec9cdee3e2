//! The HTTP clients of the worker.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Response, Url, header};

/// Time limit of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of a download by a link: an attachment has at most 20 MB.
const LINK_TIMEOUT: Duration = Duration::from_secs(60);
/// Most redirects of a link: one leads to the bucket.
const MAX_LINK_REDIRECTS: usize = 3;

/// A client for the server at `base`. Each call has the time limit `timeout`, if there is one.
pub fn client(base: &str, timeout: Option<Duration>) -> Result<reqwest::Client, reqwest::Error> {
    // A redirect could send the token to another server.
    let builder = builder(base).redirect(Policy::none());
    match timeout {
        Some(timeout) => builder.timeout(timeout).build(),
        None => builder.build(),
    }
}

/// A client for the download links of the server at `base`, which need no token and redirect to the bucket.
pub fn link_client(base: &str) -> Result<reqwest::Client, reqwest::Error> {
    builder(base).redirect(Policy::limited(MAX_LINK_REDIRECTS)).timeout(LINK_TIMEOUT).build()
}

fn builder(base: &str) -> ClientBuilder {
    let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).referer(false);
    // Loopback needs no proxy.
    if is_loopback(base) { builder.no_proxy() } else { builder }
}

/// How long the server asks to wait.
pub fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A whole body; `None` when it has more than `max_bytes`.
pub async fn read_whole(mut response: Response, max_bytes: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > max_bytes {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// The start of a body: it stops after the chunk that reaches `max_bytes`, and at the end or at an error.
pub async fn read_start(mut response: Response, max_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= max_bytes {
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
