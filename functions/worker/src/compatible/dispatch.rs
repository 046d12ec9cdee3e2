//! `POST /w/{token}/api/query`, `/mutation` and `/action`: one call of a function by its name.
//!
//! A published image knows for each function which of the three it must use. This service treats the three alike.

use af_api::worker::compatible::{ControlState, FunctionCall, FunctionResult};
use af_app::AppError;
use af_app::access::worker_token::Signed;
use af_domain::json_text::mended;
use af_domain::refusal::{Code, Refusable, Refusal};
use af_http::{ApiPath, Problem, PublicUrl, RefusedCredential, parse_value, status};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use tracing::Span;

use super::call::Call;
use super::functions;
use super::outcome::value;
use super::token::PathToken;
use crate::WorkerState;

/// Calls a function.
///
/// # Errors
/// Only failures of this service, such as a table that cannot answer. A refusal is an answer with status 200.
pub async fn dispatch(
    State(state): State<WorkerState>,
    ApiPath(token): ApiPath<PathToken>,
    url: PublicUrl,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let app = state.app.clone();
    let error = match Box::pin(run(state, token.clone(), url, body)).await {
        Ok(value) => return Ok(Json(FunctionResult::Success { value }).into_response()),
        Err(error) => error,
    };
    let Some(refusal) = error.refusal().filter(|refusal| !status(refusal.code).is_server_error()) else {
        return Err(error.into());
    };
    let mut response = Json(FunctionResult::Error { error_message: error_message(refusal) }).into_response();
    // A worker that has stopped is refused, too, but its token is genuine.
    if refusal.code == Code::Unauthorized && token.examine(&app).await.is_err() {
        response.extensions_mut().insert(RefusedCredential);
    }
    Ok(response)
}

/// The detail of a refusal, after the field that it refuses unless the detail names it. The answer has no place of its own
/// for the field.
fn error_message(refusal: &Refusal) -> String {
    let field = refusal.pointer.as_deref().unwrap_or_default().trim_start_matches('/');
    let name = field.rsplit('/').next().unwrap_or_default();
    let is_named = refusal.detail.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
    if field.is_empty() || is_named { refusal.detail.clone() } else { format!("{field}: {}", refusal.detail) }
}

async fn run(
    state: WorkerState,
    token: PathToken,
    url: PublicUrl,
    body: Result<Bytes, BytesRejection>,
) -> Result<Value, AppError> {
    let unreadable = |rejection: BytesRejection| Refusal::new(Code::PayloadTooLarge, rejection.body_text());
    // A parsed `Value` has the last of two equal keys. The native API refuses them.
    let call: Value = serde_json::from_str(&mended(&body.map_err(unreadable)?)).map_err(|error| {
        Refusal::new(Code::MalformedRequest, format!("the body is not valid JSON: {error}"))
    })?;
    let FunctionCall { path, args } = parse_value(call)?;
    // The namespace depends on how the image was built, and has no meaning here.
    let function = path.rsplit_once(':').map_or(path.as_str(), |(_namespace, function)| function);
    let worker = if function == functions::CONTROL_STATE {
        match token.examine(&state.app).await? {
            Signed::Good(worker) => worker,
            // An image repeats a refused call without end. An image that reads `shouldStop` stops.
            Signed::Expired(_) => return value(&ControlState { should_stop: true }),
        }
    } else {
        token.worker(&state.app).await?
    };
    Span::current().record("worker_id", worker.as_str());
    let args = by_name(args)?;
    if args.get("workerId").is_some_and(|named| !named.is_null() && named != worker.as_str()) {
        let detail = format!("workerId must be that of the token, {worker}");
        return Err(Refusal::field("/workerId", detail).into());
    }
    let call = Call { app: state.app, objects: state.objects, worker, token, url, args };
    functions::run(function, call).await
}

/// The arguments by name, from an object, from a list that holds one object, or from null.
fn by_name(args: Value) -> Result<Map<String, Value>, Refusal> {
    let args = match args {
        Value::Array(mut listed) if listed.len() == 1 => listed.remove(0),
        other => other,
    };
    match args {
        Value::Object(named) => Ok(named),
        Value::Null => Ok(Map::new()),
        _ => Err(Refusal::field("/args", "args must be an object, or a list with one")),
    }
}
