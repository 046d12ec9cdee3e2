//! One request to an AWS endpoint of the JSON protocols, taken apart, and its reply.

use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

/// The services that answer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB, its streams included.
    DynamoDb,
    /// Secrets Manager.
    SecretsManager,
}

/// The header that names service and operation in the JSON protocols. Requests of S3 have none.
const TARGET: &str = "x-amz-target";

/// Whether the request is one of the JSON protocols.
pub(super) fn is_targeted<B>(request: &http::Request<B>) -> bool {
    request.headers().contains_key(TARGET)
}

/// A request as it goes over the wire: `x-amz-target` taken apart, the body parsed.
#[derive(Clone, PartialEq)]
pub struct WireRequest {
    /// Which service it is for.
    pub service: Service,
    /// The operation's name in the service's API, such as `UpdateItem`.
    pub operation: String,
    /// The request, in the API's JSON.
    pub body: Value,
}

/// The body may hold a secret, so only its kind is shown.
impl fmt::Debug for WireRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireRequest")
            .field("service", &self.service)
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

/// What the service answers.
#[derive(Clone, PartialEq)]
pub struct Reply {
    /// The HTTP status: 200, 400 for what the caller did wrong, 500 for what we did.
    pub status: u16,
    /// The response or the error, in the API's JSON.
    pub body: Value,
}

/// The body may hold a secret, so only its status and the type of an error are shown.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("error", &self.body["__type"])
            .finish_non_exhaustive()
    }
}

impl WireRequest {
    /// Takes a request apart.
    pub(super) fn parse(request: &http::Request<Bytes>) -> Result<Self, Unanswerable> {
        const TARGETS: [(&str, Service); 3] = [
            ("DynamoDB_20120810.", Service::DynamoDb),
            ("DynamoDBStreams_20120810.", Service::DynamoDb),
            ("secretsmanager.", Service::SecretsManager),
        ];
        let target = request.headers().get(TARGET).and_then(|target| target.to_str().ok());
        let (service, operation) = target
            .and_then(|target| {
                TARGETS.iter().find_map(|(prefix, service)| Some((*service, target.strip_prefix(prefix)?)))
            })
            .ok_or(Unanswerable::OtherService)?;
        let body = serde_json::from_slice(request.body())?;
        Ok(Self { service, operation: operation.to_owned(), body })
    }
}

/// Why a request gets no answer of a service.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswerable {
    #[error("this machine runs DynamoDB, Secrets Manager and S3, not what the request is for")]
    OtherService,
    #[error("the request is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

impl Unanswerable {
    pub(super) fn into_http(self) -> http::Response<Bytes> {
        let detail = self.to_string();
        match self {
            Self::OtherService => {
                let problem = json!({
                    "type": "about:blank",
                    "title": "Not Implemented",
                    "status": 501,
                    "code": "not_implemented",
                    "detail": detail,
                });
                respond(501, "application/problem+json", &problem)
            }
            Self::NotJson(_) => {
                let kind = "com.amazon.coral.service#SerializationException";
                Reply { status: 400, body: json!({"__type": kind, "Message": detail}) }.into_http()
            }
        }
    }
}

impl Reply {
    /// An error that the service would call its own fault.
    pub(super) fn internal_error(message: &str) -> Self {
        Self { status: 500, body: json!({"__type": "InternalServiceError", "Message": message}) }
    }

    pub(super) fn into_http(self) -> http::Response<Bytes> {
        respond(self.status, "application/x-amz-json-1.0", &self.body)
    }
}

fn respond(status: u16, content_type: &'static str, body: &Value) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::from(body.to_string()));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
