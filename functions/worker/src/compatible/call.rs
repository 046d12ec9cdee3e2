//! `POST /w/{token}/api/query`, `/mutation` and `/action`: one call of a function by its name.
//!
//! A published image knows which of the three a function belongs to; here they are the same.

use af_app::AppError;
use af_app::access::worker_token::{self, Signed};
use af_app::settings::public_url;
use af_app::wire::PayloadBody;
use af_app::worker::assignment;
use af_aws::objects::Objects;
use af_domain::ids::{ConversationId, InvalidId, WorkerId};
use af_domain::message::Payload;
use af_domain::refusal::{Code, Refusable, Refusal};
use af_http::{ApiPath, Id, PathParam, Problem, PublicUrl, parse_json, status};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tracing::Span;

use super::functions;
use crate::{Served, Shared, files};

/// A worker's token, as the path carries it. Redacted in `Debug`.
#[derive(Clone, Debug)]
pub struct Token(SecretString);

impl PathParam for Token {
    const NAME: &'static str = "token";

    fn from_text(text: &str) -> Result<Self, InvalidId> {
        Ok(Self(text.into()))
    }
}

impl Token {
    /// The worker that it was made for.
    ///
    /// # Errors
    /// 401 when it is not one of ours, or has expired.
    pub async fn worker(&self, app: &Shared) -> Result<WorkerId, AppError> {
        worker_token::verify(app, self.0.expose_secret()).await
    }
}

/// A call as it comes. What else stands in it is nothing to us.
#[derive(Deserialize)]
struct Request {
    path: String,
    #[serde(default)]
    args: Value,
}

/// A call whose caller is known.
pub struct Call {
    /// The use cases.
    pub app: Shared,
    /// The bucket.
    pub objects: Objects,
    /// Who calls.
    pub worker: WorkerId,
    token: Token,
    url: PublicUrl,
    args: Map<String, Value>,
}

/// What a call is answered.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "camelCase")]
pub enum Answer {
    /// What the function says.
    Success {
        /// Its value.
        value: Value,
    },
    /// Why it does not.
    #[serde(rename_all = "camelCase")]
    Error {
        /// The reason, for people.
        error_message: String,
    },
}

/// Calls a function.
///
/// # Errors
/// Only faults of ours, and what is not to be had at the moment.
pub async fn call(
    State(served): State<Served>,
    ApiPath(token): ApiPath<Token>,
    url: PublicUrl,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Answer>, Problem> {
    match Box::pin(answered(served, token, url, body)).await {
        Ok(value) => Ok(Json(Answer::Success { value })),
        Err(error) => match error.refusal().filter(|refusal| !status(refusal.code).is_server_error()) {
            Some(refusal) => Ok(Json(Answer::Error { error_message: refusal.detail.clone() })),
            None => Err(error.into()),
        },
    }
}

async fn answered(
    served: Served,
    token: Token,
    url: PublicUrl,
    body: Result<Bytes, BytesRejection>,
) -> Result<Value, AppError> {
    let unreadable = |rejection: BytesRejection| Refusal::new(Code::PayloadTooLarge, rejection.body_text());
    let Request { path, args } = parse_json(&body.map_err(unreadable)?)?;
    // Which namespace an image was built with says nothing.
    let function = path.rsplit_once(':').map_or(path.as_str(), |(_namespace, function)| function);
    let worker = if function == functions::CONTROL_STATE {
        match worker_token::examine(&served.app, token.0.expose_secret()).await? {
            Signed::Good(worker) => worker,
            // An image that is refused asks again for ever; one that is told to stop, stops.
            Signed::Expired(_) => return Ok(json!({"shouldStop": true})),
        }
    } else {
        token.worker(&served.app).await?
    };
    Span::current().record("worker_id", worker.as_str());
    let args = named(args)?;
    if args.get("workerId").is_some_and(|named| !named.is_null() && named != worker.as_str()) {
        let detail = format!("workerId must be that of the token, {worker}");
        return Err(Refusal::field("/workerId", detail).into());
    }
    let call = Call { app: served.app, objects: served.objects, worker, token, url, args };
    functions::run(function, call).await
}

/// The arguments by their names: an object, or a list with one, or nothing.
fn named(args: Value) -> Result<Map<String, Value>, Refusal> {
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

impl Call {
    /// Makes sure that the arguments have a `workerId`; it is the caller's own.
    ///
    /// # Errors
    /// A refusal when they have none.
    pub fn names_its_worker(&self) -> Result<(), Refusal> {
        let missing = || Refusal::field("/workerId", "workerId is needed");
        self.args.get("workerId").filter(|named| !named.is_null()).map(drop).ok_or_else(missing)
    }

    /// The arguments as a `T`.
    ///
    /// # Errors
    /// A refusal that names the one at fault.
    pub fn args<T: DeserializeOwned>(&mut self) -> Result<T, AppError> {
        let args = serde_json::to_vec(&std::mem::take(&mut self.args));
        let args = args.map_err(|source| AppError::Unreadable { what: "arguments", source })?;
        Ok(parse_json(&args)?)
    }

    /// The conversation that the caller names, else the one that it is assigned to: before its first claim, an image
    /// names none.
    ///
    /// # Errors
    /// 401 when the caller has stopped.
    pub async fn conversation(
        &self,
        named: Option<Id<ConversationId>>,
    ) -> Result<Option<ConversationId>, AppError> {
        match named {
            Some(named) => Ok(Some(named.0)),
            None => Ok(assignment(&self.app, &self.worker).await?.map(|assignment| assignment.conversation)),
        }
    }

    /// A URL that answers a plain GET with what lies under this key of the bucket, for a while and without a token.
    ///
    /// # Errors
    /// When nothing says where this API is reached.
    pub async fn link(&self, object_key: &str) -> Result<String, AppError> {
        files::link(&self.app, &self.url, object_key).await
    }

    /// A URL that the caller uploads to.
    ///
    /// # Errors
    /// As `link`.
    pub async fn upload_url(&self, path: &str) -> Result<String, AppError> {
        let base = public_url::required(&self.app, self.url.0.as_deref()).await?;
        Ok(format!("{base}/w/{}/{path}", self.token.0.expose_secret()))
    }

    /// A message's payload, as the caller is handed it.
    pub async fn payload(&self, payload: Payload) -> PayloadBody {
        files::handed_out(&self.app, &self.url, payload).await
    }
}
