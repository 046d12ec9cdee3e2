//! Validation of base URLs from operators.

use url::{Host, Url};

/// Longest base URL.
const MAX_BASE_URL_LEN: usize = 2_000;
/// The rule of [`is_base_url`], in words.
pub(crate) const BASE_URL_RULE: &str = "an https URL (http only for a loopback host) of at most 2000 characters, without user, query and \
     fragment";

/// Whether a path can be appended to `text`, and the URL means what a reader of `text` expects.
pub(crate) fn is_base_url(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    // A URL that a parser would correct is refused, because another parser may correct it differently.
    let authority = text.split_once("://").map_or("", |(_scheme, rest)| rest);
    let exact = text.len() <= MAX_BASE_URL_LEN
        && text.bytes().all(|b| b.is_ascii_graphic() && !br#"@\<>""#.contains(&b))
        && url.host_str().is_some_and(|host| authority.to_ascii_lowercase().starts_with(host));
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_clear = url.query().is_none() && url.fragment().is_none();
    exact && is_clear && (url.scheme() == "https" || url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_https_or_loopback() {
        for valid in [
            "https://crm.example",
            "https://crm.example:8443/bridge/v1/",
            "https://[2001:db8::1]/x",
            "http://localhost:3000",
            "http://127.0.0.1/bridge",
            "http://[::1]:9/",
            "https://CRM.example",
        ] {
            assert!(is_base_url(valid), "{valid}");
        }
        for bad in [
            "",
            "crm.example",
            "ftp://crm.example",
            "https://",
            "https:///x",
            "https:x",
            "http://crm.example",
            "https://a b",
            "http://127.0.0.1.example.com",
            "https://user@host",
            "https://host:port",
            "https://host:99999",
            "https://[::1",
            "https://[host]",
            "https://host/?q=1",
            "https://host/?",
            "https://host/#f",
            "http://localhost@evil.example",
            "http://localhost\\@evil.example",
            "https://hôst",
            "https://exa%6dple.com",
            "http://127.1",
        ] {
            assert!(!is_base_url(bad), "{bad}");
        }
        assert!(!is_base_url(&format!("https://{}", "a".repeat(2_000))));
    }

    #[test]
    fn the_rule_contains_the_length_limit() {
        assert!(BASE_URL_RULE.contains(&MAX_BASE_URL_LEN.to_string()));
    }
}
