//! AWS on one machine: an embedded DynamoDB, Secrets Manager and S3 behind the wire protocols that the SDK speaks.
//!
//! [`LocalAws`] answers requests. SDK clients of [`LocalAws::sdk_config`] reach it without a socket, other processes
//! through [`LocalAws::endpoint_router`]. A handle may have a [`Meter`], which counts the cost of its requests,
//! [`Faults`], which make them fail, and [`Permissions`], which are those of its role. They belong to that handle and its
//! clones only, so that each of several actors on one engine can have its own. Meter and faults do not apply to requests
//! for objects.

mod client;
mod dynamodb;
mod endpoint;
mod faults;
mod meter;
mod objects;
mod permissions;
mod secrets;
mod signature;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::StatusCode;
use serde_json::json;

pub use aws_credential_types::Credentials;
pub use dynamodb::{Engine, TableChange, TableDefinition};
pub use faults::{Fault, Faults, Gate};
use meter::Metered;
pub use meter::{Call, Meter, Usage};
pub use objects::Objects;
pub use permissions::{Permission, Permissions, Statement};
pub use secrets::Secrets;
pub use wire::{Reply, Service, WireRequest};

/// The region of all services.
pub const REGION: &str = "local";

/// The account of all resources.
const ACCOUNT: &str = "000000000000";

/// The key id and the secret of the credentials, unless [`LocalAws::with_credentials`] sets others.
const DEFAULT_CREDENTIALS: (&str, &str) = ("local", "local");

/// The largest request body that DynamoDB accepts; bodies for Secrets Manager are far smaller. Objects are streamed.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// How often a request yields to other tasks before it is carried out. Unlike a network, the engine answers at once.
/// Without this, the requests of two tasks on one thread would never interleave.
const YIELDS: usize = 1;

/// The same for a metered request, between its start and its execution. The first of two concurrent requests must not
/// end before the second one starts, and the SDK may need a few turns to start it.
const METERED_YIELDS: usize = 16;

/// A handle of the services. It is cheap to clone.
#[derive(Clone)]
pub struct LocalAws {
    engine: Engine,
    secrets: Secrets,
    objects: Option<Objects>,
    endpoint_url: Option<Arc<str>>,
    credentials: Credentials,
    meter: Option<Meter>,
    faults: Option<Arc<dyn Faults>>,
    permissions: Option<Permissions>,
}

/// A [`Fault`] broke the connection before a response arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was lost")]
pub struct ConnectionLost;

impl LocalAws {
    /// Creates the services over these stores, without a meter, faults and S3.
    pub fn new(engine: Engine, secrets: Secrets) -> Self {
        let (key_id, secret) = DEFAULT_CREDENTIALS;
        let credentials = Credentials::new(key_id, secret, None, None, "af-local");
        Self {
            engine,
            secrets,
            objects: None,
            endpoint_url: None,
            credentials,
            meter: None,
            faults: None,
            permissions: None,
        }
    }

    /// Adds S3 over `objects`.
    pub fn with_objects(self, objects: Objects) -> Self {
        Self { objects: Some(objects), ..self }
    }

    /// Sets the URL at which [`LocalAws::endpoint_router`] is served. In-process requests are addressed to it, so
    /// that a URL that an in-process client has presigned works. Without it, presigned URLs do not work.
    pub fn with_endpoint_url(self, url: &str) -> Self {
        Self { endpoint_url: Some(url.into()), ..self }
    }

    /// Sets the only credentials: requests through the endpoint and all requests for objects must be signed with them.
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// Counts the requests of this handle with `meter`.
    pub fn with_meter(self, meter: Meter) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// Applies `faults` to the requests of this handle.
    pub fn with_faults(self, faults: Arc<dyn Faults>) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// Refuses the requests of this handle that `permissions` do not allow. Without permissions, all are allowed.
    pub fn with_permissions(self, permissions: Permissions) -> Self {
        Self { permissions: Some(permissions), ..self }
    }

    /// The DynamoDB engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The Secrets Manager.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The S3, if there is one.
    pub fn objects(&self) -> Option<&Objects> {
        self.objects.as_ref()
    }

    /// Answers one HTTP request: by its `x-amz-target`, or as S3 if it has none.
    pub async fn handle(&self, request: http::Request<Body>) -> Result<http::Response<Body>, ConnectionLost> {
        if let Some(objects) = self.objects.as_ref().filter(|_| !wire::is_targeted(&request)) {
            return Ok(objects.call(request, &self.credentials, self.permissions.as_ref()).await);
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
            return Ok(empty(StatusCode::PAYLOAD_TOO_LARGE));
        };
        let response = match WireRequest::parse(&http::Request::from_parts(parts, body)) {
            Ok(request) => self.call(request).await?.into_http(),
            Err(unanswerable) => *unanswerable,
        };
        Ok(response.map(Body::from))
    }

    /// Answers one parsed request, with meter and faults.
    pub async fn call(&self, mut request: WireRequest) -> Result<Reply, ConnectionLost> {
        // Only requests to DynamoDB are metered, because secrets are cached by their readers.
        let meter = self.meter.as_ref().filter(|_| request.service == Service::DynamoDb);
        let metered = meter.map(|meter| {
            meter::ask_for_capacity(&request.operation, &mut request.body);
            meter.start(&request.operation)
        });
        for _ in 0..if metered.is_some() { METERED_YIELDS } else { YIELDS } {
            tokio::task::yield_now().await;
        }
        if let Some(body) = self.faults.as_ref().and_then(|faults| faults.rewritten(&request)) {
            request.body = body;
        }
        match self.faults.as_ref().map_or(Fault::None, |faults| faults.before(&request)) {
            Fault::None => Ok(self.execute(&request, metered.as_ref()).await),
            Fault::LoseRequest => Err(ConnectionLost),
            Fault::LoseResponse => {
                self.execute(&request, metered.as_ref()).await;
                Err(ConnectionLost)
            }
            Fault::Duplicate => {
                self.execute(&request, metered.as_ref()).await;
                Ok(self.execute(&request, metered.as_ref()).await)
            }
            Fault::Respond { status, body } => Ok(Reply { status, body }),
            Fault::Late(after) => {
                let service = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(after.as_millis())).await;
                    service.execute(&request, None).await;
                });
                Err(ConnectionLost)
            }
            Fault::Delay(length) => {
                tokio::time::sleep(Duration::from_millis(length.as_millis())).await;
                Ok(self.execute(&request, metered.as_ref()).await)
            }
            Fault::Unprocessed(processed) => {
                let rest = match request.operation.as_str() {
                    "BatchGetItem" => faults::take_unprocessed(&mut request.body, processed),
                    _ => json!({}),
                };
                let mut reply = self.execute(&request, metered.as_ref()).await;
                if reply.status == 200 && rest != json!({}) {
                    reply.body["UnprocessedKeys"] = rest;
                }
                Ok(reply)
            }
            Fault::HeldUp(gate) => {
                gate.passed().await;
                Ok(self.execute(&request, metered.as_ref()).await)
            }
        }
    }

    async fn execute(&self, request: &WireRequest, metered: Option<&Metered>) -> Reply {
        let denial = self.permissions.as_ref().and_then(|permissions| permissions.denial(request));
        let reply = match (denial, request.service) {
            (Some(denial), _) => denial,
            (None, Service::DynamoDb) => self.engine.call(&request.operation, request.body.clone()).await,
            (None, Service::SecretsManager) => self.secrets.call(&request.operation, &request.body).await,
        };
        if let Some(metered) = metered {
            metered.answered(&reply);
        }
        if let Some(faults) = &self.faults {
            faults.answered(request, &reply);
        }
        reply
    }
}

impl std::fmt::Debug for LocalAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalAws")
    }
}

fn empty(status: StatusCode) -> http::Response<Body> {
    let mut response = http::Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
