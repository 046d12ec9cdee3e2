//! Every request: token, app, rate limit and faults, then the action that it asks for.

use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use crate::action::{Action, Target};
use crate::call::{Answer, Call, Refused};
use crate::faults::Fault;
use crate::state::MachineState;
use crate::{FlyEmulator, machines, volumes};

/// Largest body that is read; a machine's configuration is a few KB.
const MAX_BODY_BYTES: usize = 1 << 20;

pub(super) fn router(fly: FlyEmulator) -> Router {
    Router::new().nest_service("/v1", Router::new().fallback(handle).with_state(fly))
}

async fn handle(State(fly): State<FlyEmulator>, request: Request) -> Result<Response, Refused> {
    authenticate(&fly, request.headers())?;
    let Some(target) = Target::of(request.method(), request.uri().path()) else {
        return Err(Refused::new(StatusCode::NOT_FOUND, "404 page not found"));
    };
    let fault = admit(&fly, &target)?;
    let call = read(target, request).await?;
    match fault {
        None => Ok(perform(&fly, &call).await?.into_response()),
        Some(Fault::Refused { status, error, retry_after_secs }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Err(Refused { status, error, retry_after_secs })
        }
        Some(Fault::AnswerLost) => {
            perform(&fly, &call).await?;
            Err(Refused::new(StatusCode::BAD_GATEWAY, "the answer was lost"))
        }
        Some(Fault::StuckStopping) => Ok(perform(&fly, &Call { stuck: true, ..call }).await?.into_response()),
        Some(Fault::NeverStarts { state }) => {
            Ok(perform(&fly, &Call { comes_to: state, ..call }).await?.into_response())
        }
        Some(Fault::EmptyList) => Ok(Answer::from(json!([])).into_response()),
        Some(Fault::Late { ms }) => {
            fly.inner.options.time.pass(Duration::from_millis(ms)).await;
            Ok(perform(&fly, &call).await?.into_response())
        }
    }
}

fn authenticate(fly: &FlyEmulator, headers: &HeaderMap) -> Result<(), Refused> {
    let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let given = value.strip_prefix("Bearer ").unwrap_or_default();
    let opens = fly.inner.options.token.as_deref().map_or(!given.is_empty(), |token| token == given);
    if opens { Ok(()) } else { Err(Refused::new(StatusCode::UNAUTHORIZED, "unauthorized")) }
}

/// Counts the request and returns the fault that is queued for it.
fn admit(fly: &FlyEmulator, target: &Target) -> Result<Option<Fault>, Refused> {
    let now = fly.inner.options.time.now();
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

async fn read(target: Target, request: Request) -> Result<Call, Refused> {
    let bad = |why: String| Refused::new(StatusCode::BAD_REQUEST, why);
    let query = request.uri().query().unwrap_or_default();
    let query = pairs(query).map_err(bad)?;
    let body = to_bytes(request.into_body(), MAX_BODY_BYTES).await.map_err(|e| bad(e.to_string()))?;
    let body = match body.as_ref() {
        b"" => Value::Null,
        json => serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?,
    };
    Ok(Call { target, query, body, stuck: false, comes_to: MachineState::Started })
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, String> {
    let uri = http::Uri::builder().path_and_query(format!("/?{query}")).build().map_err(|e| e.to_string())?;
    let pairs = axum::extract::Query::try_from_uri(&uri).map_err(|e| e.to_string())?;
    Ok(pairs.0)
}

async fn perform(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    fly.inner.catch_up(&call.target.app).await;
    match call.target.action {
        Action::GetApp => machines::app(fly, call),
        Action::ListMachines => machines::list(fly, call),
        Action::CreateMachine => machines::create(fly, call).await,
        Action::GetMachine => machines::get(fly, call),
        Action::DestroyMachine => machines::destroy(fly, call).await,
        Action::CordonMachine => machines::cordon(fly, call),
        Action::StopMachine => machines::stop(fly, call).await,
        Action::WaitForMachine => machines::wait(fly, call).await,
        Action::ListVolumes => volumes::list(fly, call),
        Action::CreateVolume => volumes::create(fly, call),
        Action::GetVolume => volumes::get(fly, call),
        Action::DestroyVolume => volumes::destroy(fly, call).await,
    }
}
