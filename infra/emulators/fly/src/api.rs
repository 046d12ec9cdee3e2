//! What is common to every request: token, app, rate, faults, and Fly's way to say no.

use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::action::{Action, Target};
use super::{FakeFly, Fault, MachineState, machines, volumes};

/// Largest body that is read; a machine's configuration is a few KB.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A refusal, in Fly's form.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    error: String,
    retry_after_secs: Option<u64>,
}

impl Refused {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), retry_after_secs: None }
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    pub fn precondition(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, format!("failed_precondition: {why}"))
    }

    pub fn invalid(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("invalid_argument: {why}"))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(json!({"error": self.error}))).into_response();
        if let Some(seconds) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A request, read.
pub(super) struct Asked {
    pub target: Target,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Value,
    /// Whether the machine that is told to stop shall not.
    pub stuck: bool,
    /// What the machine that is made comes to.
    pub comes_to: MachineState,
}

impl Asked {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// An answer: its body, and where a list goes on.
pub(super) struct Answer {
    pub body: Value,
    pub next_cursor: Option<String>,
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self { body, next_cursor: None }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self.body).into_response();
        if let Some(cursor) = self.next_cursor.and_then(|c| HeaderValue::from_str(&c).ok()) {
            response.headers_mut().insert("fly-next-cursor", cursor);
        }
        response
    }
}

pub(super) fn router(fly: FakeFly) -> Router {
    Router::new().nest_service("/v1", Router::new().fallback(call).with_state(fly))
}

async fn call(State(fly): State<FakeFly>, request: Request) -> Result<Response, Refused> {
    authenticate(&fly, request.headers())?;
    let Some(target) = Target::of(request.method(), request.uri().path()) else {
        return Err(Refused::new(StatusCode::NOT_FOUND, "404 page not found"));
    };
    let fault = admit(&fly, &target)?;
    let asked = read(target, request).await?;
    match fault {
        None => Ok(perform(&fly, &asked).await?.into_response()),
        Some(Fault::Refused { status, error, retry_after_secs }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Err(Refused { status, error, retry_after_secs })
        }
        Some(Fault::AnswerLost) => {
            perform(&fly, &asked).await?;
            Err(Refused::new(StatusCode::BAD_GATEWAY, "the answer was lost"))
        }
        Some(Fault::StuckStopping) => {
            Ok(perform(&fly, &Asked { stuck: true, ..asked }).await?.into_response())
        }
        Some(Fault::NeverStarts { state }) => {
            Ok(perform(&fly, &Asked { comes_to: state, ..asked }).await?.into_response())
        }
        Some(Fault::EmptyList) => Ok(Answer::from(json!([])).into_response()),
        Some(Fault::Late { ms }) => {
            fly.inner.time.pass(Duration::from_millis(ms)).await;
            Ok(perform(&fly, &asked).await?.into_response())
        }
    }
}

fn authenticate(fly: &FakeFly, headers: &HeaderMap) -> Result<(), Refused> {
    let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let given = value.strip_prefix("Bearer ").unwrap_or_default();
    let opens = fly.inner.token.as_deref().map_or(!given.is_empty(), |token| token == given);
    if opens { Ok(()) } else { Err(Refused::new(StatusCode::UNAUTHORIZED, "unauthorized")) }
}

/// Counts the request; answers the failure that was ordered for it.
fn admit(fly: &FakeFly, target: &Target) -> Result<Option<Fault>, Refused> {
    let now = fly.inner.time.now();
    let mut memory = fly.inner.lock();
    memory.requests += 1;
    if !memory.state.apps.contains_key(&target.app) {
        return Err(Refused::new(StatusCode::NOT_FOUND, format!("App '{}' not found", target.app)));
    }
    if let Err(seconds) = memory.limits.take(target.action, &target.app, now) {
        memory.refused_for_rate += 1;
        let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded");
        return Err(Refused { retry_after_secs: Some(seconds), ..refused });
    }
    Ok(memory.faults.take(target.action))
}

async fn read(target: Target, request: Request) -> Result<Asked, Refused> {
    let bad = |why: String| Refused::new(StatusCode::BAD_REQUEST, why);
    let query = request.uri().query().unwrap_or_default();
    let query = pairs(query).map_err(bad)?;
    let headers = request.headers().clone();
    let body = to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|e| bad(e.to_string()))?;
    let body = match body.as_ref() {
        b"" => Value::Null,
        json => serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?,
    };
    Ok(Asked { target, query, headers, body, stuck: false, comes_to: MachineState::Started })
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, String> {
    let uri = http::Uri::builder().path_and_query(format!("/?{query}")).build().map_err(|e| e.to_string())?;
    let pairs = axum::extract::Query::try_from_uri(&uri).map_err(|e| e.to_string())?;
    Ok(pairs.0)
}

async fn perform(fly: &FakeFly, asked: &Asked) -> Result<Answer, Refused> {
    fly.inner.catch_up(&asked.target.app).await;
    match asked.target.action {
        Action::GetApp => machines::app(fly, asked),
        Action::ListMachines => machines::list(fly, asked),
        Action::CreateMachine => machines::create(fly, asked).await,
        Action::GetMachine => machines::get(fly, asked),
        Action::DestroyMachine => machines::destroy(fly, asked).await,
        Action::CordonMachine => machines::cordon(fly, asked, true),
        Action::UncordonMachine => machines::cordon(fly, asked, false),
        Action::StopMachine => machines::stop(fly, asked).await,
        Action::WaitForMachine => machines::wait(fly, asked).await,
        Action::GetLease => machines::lease(fly, asked),
        Action::CreateLease => machines::take_lease(fly, asked),
        Action::ReleaseLease => machines::release_lease(fly, asked),
        Action::ListVolumes => volumes::list(fly, asked),
        Action::CreateVolume => volumes::create(fly, asked),
        Action::GetVolume => volumes::get(fly, asked),
        Action::DestroyVolume => volumes::destroy(fly, asked).await,
    }
}
