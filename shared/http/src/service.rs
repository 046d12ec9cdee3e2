//! The layers of every function: request id, span, panic guard, body limit, fallbacks.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use af_domain::refusal::Code;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field};

use crate::auth_limit::{AuthLimit, Call};
use crate::lambda::AwsIds;
use crate::problem::{OWN_HEADERS, Problem};
use crate::request_id::{RequestId, X_REQUEST_ID};

/// The largest body that a handler gets. Lambda takes 6 MB for the whole event, in which the body is a JSON
/// string and may have grown by its escapes.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The route in the log of a request that matches none. Its path is not logged, because it may hold a worker's token.
const UNMATCHED: &str = "unmatched";

/// `router` with the layers that all requests share: `X-Request-Id` and `traceparent`, one span a request
/// (`Span::current().record(…)` sets `conversation_id`, `message_id`, `worker_id`, `agent_key`, `consumer_user_id`,
/// `bot_identity` and `key_id`), 404, 405 and panics as problems, a body limit, and a limit on failed authentication for each
/// [`ClientAddress`](crate::ClientAddress). Call it on the finished router.
pub fn service(router: Router) -> Router {
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(Arc::<AuthLimit>::default(), limit_failures))
        .layer(from_fn(observe))
}

/// Inside of [`observe`], so that its refusals are logged with the request's id.
async fn limit_failures(State(limit): State<Arc<AuthLimit>>, request: Request, next: Next) -> Response {
    let Some(call) = Call::of(&request) else { return next.run(request).await };
    if let Some(problem) = limit.check(&call) {
        return problem.into_response();
    }
    let response = next.run(request).await;
    limit.record(&call, &response);
    response
}

async fn no_route() -> Problem {
    Problem::new(Code::NotFound, "there is nothing at this path")
}

async fn no_method() -> Problem {
    // The closed list of codes has none of its own for this; what is missing is this method's operation.
    let problem =
        Problem::new(Code::NotFound, "this path does not take this method; the Allow header says which");
    problem.with_status(StatusCode::METHOD_NOT_ALLOWED)
}

async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    let span = span(&request, &id);
    request.extensions_mut().insert(id.clone());
    async move {
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let mut response = with_request_id(answer.unwrap_or_else(|panic| panicked(&*panic)), &id);
        response.headers_mut().insert(X_REQUEST_ID, id.header());
        let status = response.status().as_u16();
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Span::current().record("status", status);
        tracing::info!(latency_ms, "request answered");
        response
    }
    .instrument(span)
    .await
}

/// At level error, so that a log of errors alone still has the ids.
fn span(request: &Request, id: &RequestId) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str);
    let aws_ids = request.extensions().get::<AwsIds>().cloned().unwrap_or_default();
    tracing::error_span!(
        "request",
        request_id = id.as_str(),
        gateway_request_id = aws_ids.gateway,
        function_request_id = aws_ids.function,
        traceparent = traceparent(request.headers()),
        method = request.method().as_str(),
        route,
        status = field::Empty,
        conversation_id = field::Empty,
        message_id = field::Empty,
        worker_id = field::Empty,
        agent_key = field::Empty,
        consumer_user_id = field::Empty,
        bot_identity = field::Empty,
        key_id = field::Empty,
    )
}

/// W3C trace context, version 00: anything else is not for the log.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    const PART_LENGTHS: [usize; 4] = [2, 32, 16, 2];
    let text = headers.get("traceparent")?.to_str().ok()?;
    let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let lengths = text.split('-').map(str::len);
    let fits = lengths.eq(PART_LENGTHS) && text.bytes().all(|b| b == b'-' || lower_hex(b));
    (fits && !text.starts_with("ff")).then_some(text)
}

/// A problem is written again, now that the request's id is known.
fn with_request_id(mut response: Response, id: &RequestId) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let mut named = problem.respond(Some(id.as_str()));
    let headers = response.headers_mut();
    OWN_HEADERS.iter().for_each(|own| {
        headers.remove(own);
    });
    for (name, value) in response.headers() {
        named.headers_mut().insert(name.clone(), value.clone());
    }
    named
}

/// Reached only where panics unwind: release builds abort, and Lambda answers for the dead process.
fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a handler panicked");
    Problem::internal().into_response()
}
