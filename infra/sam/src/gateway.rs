//! The HTTP API of API Gateway on one machine: exactly the routes of the template, each with its function's router.
//!
//! This module matches requests itself, without axum, for three reasons: the routers of the functions must see the
//! whole request unchanged, but axum adds the path parameters of the outer route to those of the inner one; API
//! Gateway answers an unknown method with 404; and API Gateway has its own order of precedence.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// The largest request body in bytes: the quota of HTTP APIs.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// The largest request body in bytes below `/w/{token}`, where a published image uploads files. A deployment accepts at
/// most 6 MB there, because a larger event reaches no function. The local stack does not have this limit.
const MAX_UPLOAD_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes of bodies in memory at a time. A function checks keys and tokens only after the whole body is read, so
/// this bounds what callers without a key can use. Further bodies wait.
const MAX_BODIES_BYTES: usize = 256 * 1024 * 1024;
/// The unit in which bodies take from [`MAX_BODIES_BYTES`].
const BODY_UNIT: usize = 1024;
/// The longest time that a body may take, its wait included: the time limit of a request to API Gateway.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit of an integration: the quota of HTTP APIs.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The method of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteMethod {
    /// All methods that no other route of the path names.
    Any,
    /// One method.
    One(Method),
}

/// One route of the HTTP API.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its method.
    pub method: RouteMethod,
    /// Its path in API Gateway's syntax: `/v1/agents/{agentKey}`, `/files/{proxy+}`.
    pub path: String,
    /// The router that answers.
    pub function: Router,
    /// How its answer is sent.
    pub answer: AnswerMode,
}

/// How the answer of a function is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerMode {
    /// When it is complete, as an HTTP API does.
    #[default]
    Buffered,
    /// Bit by bit, as the URL of a function does.
    Streamed,
}

/// The reason why routes cannot be served: an invalid path or method, or two routes that match the same requests.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GatewayError(String);

impl GatewayError {
    pub(crate) fn no_method(method: &str) -> Self {
        Self(format!("`{method}` is no method for a route"))
    }
}

impl FromStr for RouteMethod {
    type Err = GatewayError;

    /// Parses a method in any case; `ANY` stands for all methods.
    fn from_str(method: &str) -> Result<Self, GatewayError> {
        const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
        let name = method.to_ascii_uppercase();
        if name == "ANY" {
            return Ok(Self::Any);
        }
        let known = name.parse().ok().filter(|_| METHODS.contains(&name.as_str()));
        known.map(Self::One).ok_or_else(|| GatewayError::no_method(method))
    }
}

impl fmt::Display for RouteMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("ANY"),
            Self::One(method) => method.fmt(f),
        }
    }
}

/// A segment of a route's path. The order of the variants is the precedence: an earlier one wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Variable,
    /// `{proxy+}`: one or more segments, the last of the route.
    Greedy,
}

struct Target {
    method: RouteMethod,
    segments: Vec<Segment>,
    function: Router,
    answer: AnswerMode,
}

impl Target {
    fn is_greedy(&self) -> bool {
        self.segments.last() == Some(&Segment::Greedy)
    }

    fn matches(&self, method: &Method, path: &[&str]) -> bool {
        let length_fits =
            path.len() == self.segments.len() || self.is_greedy() && path.len() > self.segments.len();
        length_fits
            && (self.method == RouteMethod::Any || self.method == RouteMethod::One(method.clone()))
            && self.segments.iter().zip(path).all(|(segment, part)| match segment {
                Segment::Literal(literal) => literal == part,
                Segment::Variable | Segment::Greedy => !part.is_empty(),
            })
    }
}

/// Checks the syntax of a route's path.
pub fn check_path(path: &str) -> Result<(), GatewayError> {
    segments(path).map(drop)
}

/// Returns a router with exactly these routes. A request that matches no route gets the answer of API Gateway: 404
/// `{"message":"Not Found"}`, whether the path or only the method is unknown.
pub fn router(routes: Vec<Route>) -> Result<Router, GatewayError> {
    let mut seen = BTreeSet::new();
    let mut targets = Vec::new();
    for Route { method, path, function, answer } in routes {
        let segments = segments(&path)?;
        if !seen.insert((method.to_string(), segments.clone())) {
            return Err(GatewayError(format!("`{method} {path}` is declared twice")));
        }
        targets.push(Target { method, segments, function, answer });
    }
    // The first match wins: a full match before `{proxy+}`, literals before variables, a method before ANY.
    targets.sort_by_key(|target| {
        (target.is_greedy(), target.segments.clone(), Reverse(target.method != RouteMethod::Any))
    });
    let targets = Arc::new(targets);
    let bodies = Arc::new(Semaphore::new(MAX_BODIES_BYTES / BODY_UNIT));
    Ok(Router::new().fallback(move |request: Request| serve(Arc::clone(&targets), bodies.clone(), request)))
}

fn segments(path: &str) -> Result<Vec<Segment>, GatewayError> {
    let refuse = |reason| GatewayError(format!("`{path}` is no path for a route: {reason}"));
    let rest = path.strip_prefix('/').ok_or_else(|| refuse("it must begin with `/`"))?;
    let parts: Vec<&str> = rest.split('/').collect();
    let mut parsed = Vec::with_capacity(parts.len());
    for (place, part) in parts.iter().enumerate() {
        let variable = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        let segment = match variable {
            None if part.contains(['{', '}']) => return Err(refuse("a variable must be a whole segment")),
            None if part.is_empty() && parts.len() > 1 => return Err(refuse("it has an empty segment")),
            None => Segment::Literal((*part).to_owned()),
            Some(name) => {
                let (name, greedy) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
                if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                    return Err(refuse("a variable's name is made of letters, digits, `.`, `_` and `-`"));
                }
                if greedy && place + 1 < parts.len() {
                    return Err(refuse("`{name+}` must be the last segment"));
                }
                if greedy { Segment::Greedy } else { Segment::Variable }
            }
        };
        parsed.push(segment);
    }
    Ok(parsed)
}

async fn serve(targets: Arc<Vec<Target>>, bodies: Arc<Semaphore>, request: Request) -> Response {
    let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    let target = targets.iter().find(|target| target.matches(request.method(), &path));
    let Some((function, answer)) = target.map(|target| (target.function.clone(), target.answer)) else {
        return message(StatusCode::NOT_FOUND, "Not Found");
    };
    let max_body_bytes = if path.first() == Some(&"w") { MAX_UPLOAD_BYTES } else { MAX_BODY_BYTES };
    let units = units(&request, max_body_bytes);
    // The body counts until the function has answered.
    let read = async {
        // The semaphore is never closed.
        let permit = bodies.acquire_many(units).await.ok();
        (whole(request, max_body_bytes).await, permit)
    };
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok((Ok(request), _permit)) => match answer {
            AnswerMode::Buffered => call(function, request).await,
            AnswerMode::Streamed => stream(function, request).await,
        },
        Ok((Err(refusal), _)) => refusal,
        Err(_) => message(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
    }
}

/// The units that the body of a request may take.
fn units(request: &Request, max_body_bytes: usize) -> u32 {
    let declared = request.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    let bytes = declared.unwrap_or(max_body_bytes).min(max_body_bytes);
    u32::try_from(bytes.div_ceil(BODY_UNIT)).unwrap_or(u32::MAX)
}

/// Reads the whole body of the request, as API Gateway does before it calls a function.
async fn whole(request: Request, max_body_bytes: usize) -> Result<Request, Response> {
    let too_large = || message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    let (parts, body) = request.into_parts();
    let declared =
        parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > max_body_bytes as u64) {
        return Err(too_large());
    }
    match Limited::new(body, max_body_bytes).collect().await {
        Ok(body) => Ok(Request::from_parts(parts, Body::from(body.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(message(StatusCode::BAD_REQUEST, "Bad Request")),
    }
}

/// Calls the function in its own task, as on Lambda: a panic becomes a 500, and a client that disconnects does not
/// cancel the call.
async fn call(function: Router, request: Request) -> Response {
    let invocation = tokio::spawn(async move {
        let Ok(response) = function.oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<(_, Bytes), axum::Error>((parts, body))
    });
    match tokio::time::timeout(INTEGRATION_TIMEOUT, invocation).await {
        Ok(Ok(Ok((parts, body)))) => Response::from_parts(parts, Body::from(body)),
        Ok(Ok(Err(error))) => {
            tracing::error!(%error, "the response of a function broke off");
            message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a function panicked");
            message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
        Err(_) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    }
}

/// Calls the function and sends its answer bit by bit. The call ends when the client disconnects.
async fn stream(function: Router, request: Request) -> Response {
    let Ok(response) = function.oneshot(request).await;
    response
}

fn message(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "message": text }))).into_response()
}

#[cfg(test)]
mod tests;
