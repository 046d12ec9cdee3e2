//! A parsed request of the AWS JSON protocols, and its reply.

use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

/// The services with a JSON protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB, its streams included.
    DynamoDb,
    /// Secrets Manager.
    SecretsManager,
}

/// The header with service and operation in the JSON protocols. S3 requests do not have it.
const TARGET: &str = "x-amz-target";

/// Whether the request is one of the JSON protocols.
pub(super) fn is_targeted<B>(request: &http::Request<B>) -> bool {
    request.headers().contains_key(TARGET)
}

/// A request with parsed `x-amz-target` and body.
#[derive(Clone, PartialEq)]
pub struct WireRequest {
    /// The service.
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

/// The response of the service.
#[derive(Clone, PartialEq)]
pub struct Reply {
    /// The HTTP status: 200, 400 for errors of the caller, 500 for errors of the emulator.
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
    /// Parses a request. The error is the response to a request that no service answers.
    pub(super) fn parse(request: &http::Request<Bytes>) -> Result<Self, Box<http::Response<Bytes>>> {
        const TARGETS: [(&str, Service); 3] = [
            ("DynamoDB_20120810.", Service::DynamoDb),
            ("DynamoDBStreams_20120810.", Service::DynamoDb),
            ("secretsmanager.", Service::SecretsManager),
        ];
        let target =
            request.headers().get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default();
        let called =
            TARGETS.iter().find_map(|(prefix, service)| Some((*service, target.strip_prefix(prefix)?)));
        let Some((service, operation)) = called else {
            let problem = json!({
                "type": "about:blank",
                "title": "Not Implemented",
                "status": 501,
                "code": "not_implemented",
                "detail": "the emulator has DynamoDB, Secrets Manager and S3, but not the service of this request",
            });
            return Err(Box::new(respond(501, "application/problem+json", &problem)));
        };
        let body = serde_json::from_slice(request.body()).map_err(|error| {
            let kind = "com.amazon.coral.service#SerializationException";
            let body = json!({"__type": kind, "Message": format!("the request is not JSON: {error}")});
            Reply { status: 400, body }.into_http()
        })?;
        Ok(Self { service, operation: operation.to_owned(), body })
    }
}

impl Reply {
    /// An internal error of the service.
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
