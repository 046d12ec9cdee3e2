//! Failed authentication is limited per address.

use std::time::Duration;

use af_domain::refusal::Code;
use af_http::{Bearer, ClientAddress, Problem, service};
use axum::Router;
use axum::body::Body;
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
