//! Failed authentication is limited per address.

use std::time::Duration;

use af_domain::refusal::Code;
use af_http::{Bearer, ClientAddress, Problem, RefusedCredential, service};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response as AnyResponse};
use axum::routing::get;
use http::{Request, Response};
use tower::ServiceExt as _;

use crate::support::enable_logs;

async fn admit(token: Bearer) -> Result<&'static str, Problem> {
    if token.expose().starts_with("good") { Ok("in") } else { Err(Problem::new(Code::Unauthorized, "wrong")) }
}

async fn call(router: &Router, address: &str, token: &str) -> Response<Body> {
    let mut request = Request::get("/").header("authorization", format!("Bearer {token}"));
    if let Ok(address) = address.parse() {
        request = request.extension(ClientAddress(address));
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn status(router: &Router, address: &str, token: &str) -> u16 {
    call(router, address, token).await.status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn failed_auth_is_limited_per_address_and_an_accepted_key_is_not() {
    enable_logs();
    let router = service(Router::new().route("/", get(admit)));
    let (attacker, other) = ("192.0.2.1", "2001:db8::1");
    assert_eq!(status(&router, attacker, "good-and-used").await, 200);
    for n in 0..60 {
        assert_eq!(status(&router, attacker, &format!("guess-{n}")).await, 401);
    }
    let limited = call(&router, attacker, "guess-60").await;
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"60".parse().unwrap()));
    assert_eq!(status(&router, attacker, "good-but-unknown").await, 429, "it is not looked up");
    assert_eq!(status(&router, attacker, "good-and-used").await, 200, "it shares the address");
    assert_eq!(status(&router, other, "guess").await, 401);
    assert_eq!(status(&router, "unknown", "guess").await, 401);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(status(&router, attacker, "good-but-unknown").await, 200);
    assert_eq!(status(&router, attacker, "guess").await, 401);
}

/// A route that answers 200 to anything, as those of published images.
async fn always_200(token: Bearer) -> AnyResponse {
    let mut response = "{}".into_response();
    if !token.expose().starts_with("good") {
        response.extensions_mut().insert(RefusedCredential);
    }
    response
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_counts_with_any_status() {
    enable_logs();
    let router = service(Router::new().route("/", get(always_200)));
    for n in 0..60 {
        assert_eq!(status(&router, "192.0.2.1", &format!("guess-{n}")).await, 200);
    }
    assert_eq!(
        status(&router, "192.0.2.1", "guess-0").await,
        429,
        "a refused credential is not an accepted one"
    );
    assert_eq!(status(&router, "192.0.2.2", "good").await, 200);
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_network_count_together() {
    enable_logs();
    let router = service(Router::new().route("/", get(admit)));
    for n in 0..60 {
        assert_eq!(status(&router, &format!("2001:db8:1:2:{n}::{n}"), "guess").await, 401);
    }
    assert_eq!(status(&router, "2001:db8:1:2:ffff::1", "guess").await, 429);
    assert_eq!(status(&router, "2001:db8:1:3::1", "guess").await, 401);
    for _ in 0..60 {
        assert_eq!(status(&router, "::ffff:192.0.2.9", "guess").await, 401);
    }
    assert_eq!(status(&router, "192.0.2.9", "guess").await, 429);
}

#[tokio::test(start_paused = true)]
async fn many_addresses_do_not_clear_the_failures_of_another_one() {
    enable_logs();
    let router = service(Router::new().route("/", get(admit)));
    for address in 0..4_095_u32 {
        assert_eq!(status(&router, &std::net::Ipv4Addr::from(address).to_string(), "guess").await, 401);
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    for _ in 0..60 {
        assert_eq!(status(&router, "192.0.2.1", "guess").await, 401);
    }
    for address in 0..1_000_u32 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + address).to_string();
        assert_eq!(status(&router, &address, "guess").await, 401);
    }
    assert_eq!(status(&router, "192.0.2.1", "guess").await, 429);
}
