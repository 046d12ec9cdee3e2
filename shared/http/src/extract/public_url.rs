//! The public URL, as the caller used it. A function behind the API cannot get it at deploy time.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;

/// The longest host that is accepted: a DNS name with a port.
const MAX_HOST_CHARS: usize = 260;

/// The URL of the request without its path: `X-Forwarded-Host`, else `Host`, and the scheme of
/// `X-Forwarded-Proto`, else `http` for a loopback host and `https` for any other. `None` without a usable host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(pub Option<String>);

impl PublicUrl {
    /// Whether the caller reached a loopback host without TLS, as with `agent-factory dev`.
    pub fn is_loopback_without_tls(&self) -> bool {
        let host = self.0.as_deref().and_then(|url| url.strip_prefix("http://"));
        host.is_some_and(is_loopback)
    }

    fn of(headers: &HeaderMap) -> Self {
        let host = first(headers, "x-forwarded-host").or_else(|| first(headers, HOST.as_str()));
        Self(host.filter(|host| is_host(host)).map(|host| {
            let scheme = match first(headers, "x-forwarded-proto") {
                Some(proto @ ("http" | "https")) => proto,
                _ if is_loopback(host) => "http",
                _ => "https",
            };
            format!("{scheme}://{host}")
        }))
    }
}

/// The first of the values that proxies may have listed.
fn first<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(name)?.to_str().ok()?;
    value.split(',').next().map(str::trim).filter(|v| !v.is_empty())
}

fn is_host(host: &str) -> bool {
    host.len() <= MAX_HOST_CHARS
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _port)) => address,
        None => host.split_once(':').map_or(host, |(name, _port)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl<S: Sync> FromRequestParts<S> for PublicUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(headers: &[(&'static str, &str)]) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        PublicUrl::of(&headers.collect()).0
    }

    #[test]
    fn a_loopback_host_is_reached_without_tls_and_any_other_with() {
        let of_host = |host| url(&[("host", host)]);
        assert_eq!(of_host("127.0.0.1:8787").as_deref(), Some("http://127.0.0.1:8787"));
        assert_eq!(of_host("localhost:1").as_deref(), Some("http://localhost:1"));
        assert_eq!(of_host("[::1]:8787").as_deref(), Some("http://[::1]:8787"));
        assert_eq!(of_host("api.example.com").as_deref(), Some("https://api.example.com"));
        assert_eq!(of_host("127.0.0.1.example.com").as_deref(), Some("https://127.0.0.1.example.com"));
    }

    #[test]
    fn only_a_loopback_host_without_tls_needs_no_secure_cookie() {
        let without = |url: &str| PublicUrl(Some(url.to_owned())).is_loopback_without_tls();
        assert!(without("http://127.0.0.1:8787") && without("http://localhost") && without("http://[::1]:1"));
        assert!(!without("https://127.0.0.1:8787") && !without("http://localhost.example"));
        assert!(!PublicUrl(None).is_loopback_without_tls());
    }

    #[test]
    fn what_a_proxy_says_comes_first() {
        let headers = [
            ("host", "127.0.0.1:9"),
            ("x-forwarded-host", "a.example, b"),
            ("x-forwarded-proto", "https,http"),
        ];
        assert_eq!(url(&headers).as_deref(), Some("https://a.example"));
        assert_eq!(url(&[("host", "h"), ("x-forwarded-proto", "http")]).as_deref(), Some("http://h"));
        assert_eq!(url(&[("host", "h"), ("x-forwarded-proto", "gopher")]).as_deref(), Some("https://h"));
    }

    #[test]
    fn a_host_that_is_none_gives_no_url() {
        assert_eq!(url(&[]), None);
        for host in ["a/b", "user@host", "a b", &"a".repeat(300)] {
            assert_eq!(url(&[("host", host)]), None, "{host}");
        }
    }
}
