//! The checks of every request to `dev` before it reaches a route.
//!
//! A page in the developer's browser can send requests to loopback. Two rules keep it out: `dev` answers only when the
//! request names a loopback host, so that a foreign name with a loopback address (DNS rebinding) has no answer; and a
//! request that another site sends cannot change anything below `/_local`, where no key is asked for.

use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;
use af_http::Problem;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode};
use tokio::sync::watch;

/// The start of the paths of the control routes and of the Machines API, which cost nothing and need no key.
const CONTROL: &str = "/_local/";
/// The starts of the paths that workers call. A stopping stack still answers them, so that running messages can end.
const OF_WORKERS: [&str; 5] = ["/v1/worker/", "/w/", "/f/", "/bot", "/file/bot"];
/// The content type of a stream of events, which lasts longer than other answers.
const EVENT_STREAM: &str = "text/event-stream";
/// What a caller of a stopping stack is asked to wait: the time that running messages get.
const RETRY_AFTER: Millis = Millis::from_secs(30);

/// `router`, answering loopback hosts only.
pub(crate) fn loopback_only(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| {
        let (parts, body) = request.into_parts();
        match refusal(&parts) {
            Some(problem) => problem.into_response(),
            None => next.run(Request::from_parts(parts, body)).await,
        }
    }))
}

/// `router`, which answers only workers from the moment when `closing` is true.
pub(crate) fn until_closing(router: Router, closing: watch::Receiver<bool>) -> Router {
    router.layer(from_fn_with_state(closing, close))
}

async fn close(State(mut closing): State<watch::Receiver<bool>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_of_worker = OF_WORKERS.iter().any(|start| path.starts_with(start));
    if *closing.borrow() && !is_of_worker {
        let refusal = Refusal::new(Code::Unavailable, "agent-factory is stopping and accepts nothing new");
        return Problem::from(refusal.after(RETRY_AFTER)).into_response();
    }
    let response = next.run(request).await;
    if response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != EVENT_STREAM) {
        return response;
    }
    // A stream would otherwise keep the stack from stopping.
    response.map(|body| {
        let stopped = async move { closing.wait_for(|closing| *closing).await.map(drop) };
        Body::from_stream(body.into_data_stream().take_until(Box::pin(stopped)))
    })
}

fn refusal(request: &Parts) -> Option<Problem> {
    let header = |name: http::HeaderName| request.headers.get(name)?.to_str().ok();
    let host = header(HOST).and_then(|host| host.parse::<Authority>().ok());
    let is_for_us = host.as_ref().is_some_and(is_loopback) && request.uri.authority().is_none_or(is_loopback);
    if !is_for_us {
        let detail = "this server answers only to localhost, 127.0.0.1 and [::1]";
        return Some(Problem::new(Code::Forbidden, detail).with_status(StatusCode::MISDIRECTED_REQUEST));
    }
    let is_of_other_site = match request.headers.get("sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        None => request.headers.contains_key(ORIGIN) && origin(header(ORIGIN)) != host,
    };
    let only_reads = matches!(request.method, Method::GET | Method::HEAD);
    let is_refused = is_of_other_site && !only_reads && request.uri.path().starts_with(CONTROL);
    is_refused.then(|| Problem::new(Code::Forbidden, "a page of another site cannot change anything here"))
}

/// The host and port of an origin; `None` for one without, such as `null`.
fn origin(origin: Option<&str>) -> Option<Authority> {
    origin?.parse::<http::Uri>().ok()?.into_parts().authority
}

fn is_loopback(authority: &Authority) -> bool {
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    // An address with a user is one that a person reads wrongly.
    let has_user = authority.as_str().contains('@');
    let is_address = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    !has_user && (name.eq_ignore_ascii_case("localhost") || is_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        refusal(&request.body(()).unwrap().into_parts().0)
            .map(|problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn dev_answers_loopback_hosts_only() {
        for host in
            ["localhost", "localhost:8787", "LocalHost:1", "127.0.0.1:8787", "127.9.9.9", "[::1]:8787"]
        {
            assert_eq!(status("GET", "/v1/agents", &[("host", host)]), None, "{host}");
        }
        let foreign = [
            "evil.example",
            "evil.example:8787",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:8787",
            "0.0.0.0:8787",
            "localhost@evil.example",
            "evil@localhost",
            "",
            "[::2]",
        ];
        for host in foreign {
            assert_eq!(status("GET", "/v1/agents", &[("host", host)]), Some(421), "{host}");
        }
        assert_eq!(status("GET", "/v1/agents", &[]), Some(421), "without a host");
        let local = [("host", "localhost")];
        assert_eq!(status("GET", "http://evil.example/v1/agents", &local), Some(421));
        assert_eq!(status("GET", "http://localhost:8787/v1/agents", &local), None);
    }

    #[test]
    fn control_routes_refuse_cross_site_posts() {
        let post = |headers: &[(&str, &str)]| {
            let headers = [&[("host", "127.0.0.1:8787")], headers].concat();
            status("POST", "/_local/clock", &headers)
        };
        assert_eq!(post(&[]), None, "no browser");
        assert_eq!(post(&[("origin", "http://127.0.0.1:8787"), ("sec-fetch-site", "same-origin")]), None);
        assert_eq!(post(&[("origin", "http://127.0.0.1:8787")]), None);
        for origin in ["https://evil.example", "http://127.0.0.1:3000", "null", ""] {
            assert_eq!(post(&[("origin", origin)]), Some(403), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(post(&[("sec-fetch-site", site)]), Some(403), "{site}");
        }
        let of_other = [("host", "localhost:1"), ("origin", "https://evil.example")];
        assert_eq!(status("DELETE", "/_local/fly/apps/a/machines/m", &of_other), Some(403));
        assert_eq!(status("GET", "/_local/telegram/outbox", &of_other), None, "the browser hides the answer");
    }
}
