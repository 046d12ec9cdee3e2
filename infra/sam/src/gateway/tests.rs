//! The gateway with small functions behind it.

use axum::extract::{Path, RawQuery};
use axum::routing::{any, get, post};
use serde_json::Value;

use super::*;

fn route(method: &str, path: &str, function: Router) -> Route {
    Route { method: method.parse().unwrap(), path: path.to_owned(), function, answer: AnswerMode::Buffered }
}

/// A function that answers every request with its name.
fn named(name: &'static str) -> Router {
    Router::new().fallback(move || async move { name })
}

fn request(method: &str, uri: &str) -> Request {
    Request::builder().method(method).uri(uri).body(Body::empty()).unwrap()
}

async fn send(router: &Router, request: Request) -> (StatusCode, String) {
    let Ok(response) = router.clone().oneshot(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn answer(router: &Router, method: &str, uri: &str) -> String {
    send(router, request(method, uri)).await.1
}

const NOT_FOUND: &str = r#"{"message":"Not Found"}"#;

#[tokio::test]
async fn only_declared_routes_exist() {
    let everything = named("here");
    let router = router(vec![
        route("GET", "/v1/agents", everything.clone()),
        route("PUT", "/v1/agents/{agentKey}", everything.clone()),
        route("GET", "/", everything),
    ])
    .unwrap();
    for (method, path) in [("GET", "/v1/agents"), ("PUT", "/v1/agents/demo"), ("GET", "/")] {
        assert_eq!(answer(&router, method, path).await, "here", "{method} {path}");
    }
    for (method, path) in [
        ("POST", "/v1/agents"),
        ("GET", "/v1/agents/"),
        ("GET", "/v1/agents/demo"),
        ("PUT", "/v1/agents/"),
        ("PUT", "/v1/agents/demo/token"),
        ("GET", "/v1"),
        ("GET", "//v1/agents"),
    ] {
        let (status, body) = send(&router, request(method, path)).await;
        let expected = (StatusCode::NOT_FOUND, NOT_FOUND.to_owned());
        assert_eq!((status, body), expected, "{method} {path}");
    }
    // axum would let GET answer HEAD.
    assert_eq!(send(&router, request("HEAD", "/v1/agents")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_function_sees_the_whole_request() {
    let function = Router::new().route(
        "/v1/users/{user}/agents/{agent}",
        post(|Path((user, agent)): Path<(String, String)>, RawQuery(query): RawQuery, body: String| async move {
            format!("{user} {agent} {} {body}", query.unwrap_or_default())
        }),
    );
    let router =
        router(vec![route("post", "/v1/users/{consumerUserId}/agents/{agentKey}", function)]).unwrap();
    let request = Request::post("/v1/users/u%2F1/agents/demo?a=b%20c").body(Body::from("text")).unwrap();
    assert_eq!(send(&router, request).await.1, "u/1 demo a=b%20c text");
}

#[tokio::test]
async fn the_most_specific_route_wins() {
    let router = router(vec![
        route("ANY", "/{proxy+}", named("greedy")),
        route("GET", "/v1/{what}", named("variable")),
        route("ANY", "/v1/agents", named("any method")),
        route("GET", "/v1/agents", named("exact")),
        route("GET", "/v1/{a}/{b}", named("two")),
        route("GET", "/v1/agents/{proxy+}", named("long")),
    ])
    .unwrap();
    assert_eq!(answer(&router, "GET", "/v1/agents").await, "exact");
    assert_eq!(answer(&router, "PUT", "/v1/agents").await, "any method");
    assert_eq!(answer(&router, "GET", "/v1/workers").await, "variable");
    assert_eq!(answer(&router, "PUT", "/v1/workers").await, "greedy");
    assert_eq!(answer(&router, "GET", "/v1/workers/7").await, "two");
    assert_eq!(answer(&router, "GET", "/v1/agents/7").await, "two", "a full match wins over a greedy one");
    assert_eq!(answer(&router, "GET", "/v1/agents/a/b/c").await, "long");
    assert_eq!(answer(&router, "GET", "/v1/x/a/b/c").await, "greedy");
    assert_eq!(answer(&router, "GET", "/").await, NOT_FOUND);
}

#[tokio::test]
async fn routes_with_differently_named_variables_are_served_together() {
    let router = router(vec![
        route("GET", "/v1/{a}", named("read")),
        route("PUT", "/v1/{b}", named("write")),
        route("GET", "/v1/{c}/x", named("deeper")),
    ])
    .unwrap();
    assert_eq!(answer(&router, "GET", "/v1/1").await, "read");
    assert_eq!(answer(&router, "PUT", "/v1/1").await, "write");
    assert_eq!(answer(&router, "GET", "/v1/1/x").await, "deeper");
}

#[tokio::test]
async fn a_body_over_ten_megabytes_is_refused_before_the_function() {
    let function = any(|body: Bytes| async move { body.len().to_string() });
    let function = Router::new().route("/", function).layer(axum::extract::DefaultBodyLimit::disable());
    let router = router(vec![route("POST", "/", function)]).unwrap();
    let post = |bytes: usize| Request::post("/").body(Body::from(vec![0; bytes])).unwrap();
    assert_eq!(send(&router, post(MAX_BODY_BYTES)).await.1, MAX_BODY_BYTES.to_string());
    let (status, body) = send(&router, post(MAX_BODY_BYTES + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(body, r#"{"message":"Request Entity Too Large"}"#);
    let declared = Request::post("/").header(CONTENT_LENGTH, MAX_BODY_BYTES + 1).body(Body::empty()).unwrap();
    assert_eq!(send(&router, declared).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_panicking_function_answers_500() {
    async fn broken() -> String {
        panic!("a panic for the test")
    }
    let router = router(vec![route("GET", "/", Router::new().route("/", get(broken)))]).unwrap();
    let (status, body) = send(&router, request("GET", "/")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body, r#"{"message":"Internal Server Error"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_takes_over_thirty_seconds_answers_503() {
    let stuck = Router::new().route("/", get(std::future::pending::<String>));
    let router = router(vec![route("GET", "/", stuck)]).unwrap();
    assert_eq!(send(&router, request("GET", "/")).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_gateway_can_be_merged_with_other_routes() {
    let gateway = router(vec![route("GET", "/v1", named("v1"))]).unwrap();
    let router = Router::new().route("/_local/clock", get(|| async { "clock" })).merge(gateway);
    assert_eq!(answer(&router, "GET", "/_local/clock").await, "clock");
    assert_eq!(answer(&router, "GET", "/v1").await, "v1");
    let unknown: Value = serde_json::from_str(&answer(&router, "GET", "/_local/other").await).unwrap();
    assert_eq!(unknown["message"], "Not Found");
}

#[test]
fn a_path_that_api_gateway_refuses_is_refused() {
    for path in ["v1", "", "/v1/", "/a//b", "/a{b}", "/{a}b", "/{}", "/{+}", "/{a b}", "/{proxy+}/x", "/{a"] {
        let refused = check_path(path).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("`{path}` is no path for a route: ")), "{refused}");
    }
    for path in ["/", "/a", "/{a}", "/a/{b.c-d_1}/e", "/{proxy+}"] {
        assert_eq!(check_path(path), Ok(()), "{path}");
    }
}

#[test]
fn the_same_route_twice_is_refused() {
    let twice = router(vec![route("GET", "/v1/{a}", named("one")), route("get", "/v1/{b}", named("two"))]);
    assert_eq!(twice.unwrap_err().to_string(), "`GET /v1/{b}` is declared twice");
}

#[test]
fn methods_are_read_in_any_case() {
    assert_eq!("Any".parse(), Ok(RouteMethod::Any));
    assert_eq!("delete".parse(), Ok(RouteMethod::One(Method::DELETE)));
    let refused = "FETCH".parse::<RouteMethod>().unwrap_err();
    assert_eq!(refused.to_string(), "`FETCH` is no method for a route");
}

/// A request with a body that never ends, and whose length is unknown.
fn endless(path: &str) -> Request {
    let body = Body::from_stream(futures::stream::pending::<Result<Bytes, axum::Error>>());
    http::Request::post(path).body(body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_refused_after_its_time() {
    let gateway = router(vec![route("POST", "/w/{token}/media", named("here"))]).unwrap();
    let answer = gateway.oneshot(endless("/w/t/media")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn bodies_before_auth_are_bounded_together() {
    let gateway = router(vec![route("POST", "/w/{token}/media", named("here"))]).unwrap();
    let most = MAX_BODIES_BYTES / MAX_UPLOAD_BYTES;
    let started = tokio::time::Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..most {
        running.spawn(gateway.clone().oneshot(endless("/w/t/media")));
    }
    tokio::task::yield_now().await;
    // There is no room for even a small body until the first bodies have used up their time.
    let small = http::Request::post("/w/t/media").body(Body::from("small")).unwrap();
    let answer = gateway.oneshot(small);
    let answer = tokio::time::timeout(Duration::from_secs(29), answer).await;
    assert!(answer.is_err(), "it waits");
    while running.join_next().await.is_some() {}
    assert_eq!(started.elapsed(), BODY_TIMEOUT);
}
