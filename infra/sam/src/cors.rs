//! CORS rules of an HTTP API: which pages of other origins a browser lets call it.
//!
//! As on AWS, the gateway answers preflight requests itself, and the functions know nothing of CORS. Pages cannot send
//! cookies or other credentials of the browser.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The CORS rules of an HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsDef {
    /// The origins whose pages may call, such as `https://app.example.com`.
    pub origins: Vec<String>,
    /// The methods that they may use.
    pub methods: Vec<String>,
    /// The request headers that they may send.
    pub headers: Vec<String>,
    /// The response headers that they may read.
    pub exposed: Vec<String>,
    /// How long a browser may keep these rules, in seconds.
    pub max_age_secs: u64,
}

impl CorsDef {
    /// A layer that applies the rules.
    ///
    /// # Errors
    /// Returns the value that is no origin, method or header name, or `*`, which is not supported.
    pub fn layer(&self) -> Result<CorsLayer, String> {
        let origins =
            all(&self.origins, |origin| HeaderValue::from_str(origin).ok().filter(|_| is_origin(origin)))?;
        Ok(CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods(all(&self.methods, |name| name.parse::<Method>().ok())?)
            .allow_headers(all(&self.headers, |name| name.parse::<HeaderName>().ok())?)
            .expose_headers(all(&self.exposed, |name| name.parse::<HeaderName>().ok())?)
            .max_age(Duration::from_secs(self.max_age_secs)))
    }
}

/// Whether a browser may send this text as its `Origin`: a scheme and a host, and nothing else.
pub fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', ',', ' ', '*']))
}

fn all<T>(texts: &[String], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    texts.iter().map(|text| parse(text).ok_or_else(|| format!("`{text}` is not acceptable"))).collect()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::response::Response;
    use http::{HeaderMap, Request, StatusCode};
    use tower::ServiceExt as _;

    use super::*;

    fn rules() -> CorsDef {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        CorsDef {
            origins: texts(&["https://app.example.com", "http://localhost:3000"]),
            methods: texts(&["GET", "POST"]),
            headers: texts(&["authorization"]),
            exposed: texts(&["x-request-id"]),
            max_age_secs: 600,
        }
    }

    async fn send(method: &str, origin: &str) -> Response {
        let router = Router::new().fallback(async || StatusCode::IM_A_TEAPOT).layer(rules().layer().unwrap());
        let request =
            Request::builder().method(method).uri("/v1/users/ann/overview").header("origin", origin);
        let request = request.header("access-control-request-method", "GET").body(Body::empty()).unwrap();
        let Ok(response) = router.oneshot(request).await;
        response
    }

    fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn pages_of_listed_origins_may_call_and_no_others() {
        for origin in ["https://app.example.com", "http://localhost:3000"] {
            let preflight = send("OPTIONS", origin).await;
            assert!(preflight.status().is_success(), "{origin}");
            assert_eq!(text(preflight.headers(), "access-control-allow-origin"), Some(origin));
            assert_eq!(text(preflight.headers(), "access-control-allow-headers"), Some("authorization"));
            assert_eq!(text(preflight.headers(), "access-control-max-age"), Some("600"));
            let called = send("GET", origin).await;
            assert_eq!(called.status(), StatusCode::IM_A_TEAPOT, "the function answers");
            assert_eq!(text(called.headers(), "access-control-allow-origin"), Some(origin));
            assert_eq!(text(called.headers(), "access-control-expose-headers"), Some("x-request-id"));
            assert_eq!(text(called.headers(), "access-control-allow-credentials"), None);
        }
        for origin in ["https://evil.example.com", "http://app.example.com", "null"] {
            for method in ["OPTIONS", "GET"] {
                let response = send(method, origin).await;
                assert_eq!(
                    text(response.headers(), "access-control-allow-origin"),
                    None,
                    "{method} {origin}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for origin in [
            "*",
            "https://*.example.com",
            "app.example.com",
            "https://",
            "https://a.example/path",
            "https://a,b",
        ] {
            let refused = CorsDef { origins: vec![origin.to_owned()], ..rules() }.layer();
            assert_eq!(refused.unwrap_err(), format!("`{origin}` is not acceptable"));
        }
        let refused = CorsDef { methods: vec!["G T".to_owned()], ..rules() }.layer();
        assert_eq!(refused.unwrap_err(), "`G T` is not acceptable");
    }
}
