//! AWS on one machine: an embedded DynamoDB and Secrets Manager behind the wire protocol that the SDK speaks.
//!
//! [`LocalAws`] answers one request; SDK clients reach it through [`LocalHttpClient`] without a socket, other
//! processes through [`LocalAws::endpoint_router`]. A handle may carry a [`Meter`], which counts what its requests
//! cost, and [`Faults`], which let them go wrong; both concern that handle and its clones only, so that several
//! actors on one engine are metered and troubled apart.

mod client;
mod dynamodb;
mod endpoint;
mod faults;
mod meter;
mod secrets;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use client::LocalHttpClient;
pub use dynamodb::{Engine, EngineError, TableChange, TableDefinition};
pub use faults::{Fault, Faults};
use meter::Metered;
pub use meter::{Call, Meter, Usage};
pub use secrets::{Secrets, SecretsError};
pub use wire::{Reply, Service, WireRequest};

/// The region of everything here.
pub const REGION: &str = "local";

/// How often a request lets other tasks run before it is carried out. The engine answers at once where a network
/// would not: without this, two tasks on one thread would never come between each other's requests.
const YIELDS: usize = 1;

/// The same for a metered request, between its start and its execution: the first of two requests sent side by
/// side must not be over before the second begins, which may need a few turns in the SDK until it starts.
const METERED_YIELDS: usize = 16;

/// The services of one machine, as a handle that is cheap to clone.
#[derive(Clone)]
pub struct LocalAws {
    engine: Engine,
    secrets: Secrets,
    meter: Option<Meter>,
    faults: Option<Arc<dyn Faults>>,
}

/// The connection broke before an answer arrived: a [`Fault`] wanted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was lost")]
pub struct ConnectionLost;

impl LocalAws {
    /// The services over these stores, unmetered and without faults.
    pub fn new(engine: Engine, secrets: Secrets) -> Self {
        Self { engine, secrets, meter: None, faults: None }
    }

    /// The same services; what goes through this handle is counted by `meter`.
    pub fn with_meter(self, meter: Meter) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// The same services; what goes through this handle is subject to `faults`.
    pub fn with_faults(self, faults: Arc<dyn Faults>) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// The DynamoDB engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Answers one HTTP request, by its `x-amz-target`.
    pub async fn handle(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, ConnectionLost> {
        match WireRequest::parse(&request) {
            Ok(request) => self.call(request).await.map(Reply::into_http),
            Err(unanswerable) => Ok(unanswerable.into_http()),
        }
    }

    /// Answers one request that was taken apart: metered and subject to faults like any other.
    pub async fn call(&self, mut request: WireRequest) -> Result<Reply, ConnectionLost> {
        // Budgets are of requests to DynamoDB; secrets are cached by whoever reads them.
        let meter = self.meter.as_ref().filter(|_| request.service == Service::DynamoDb);
        let metered = meter.map(|meter| {
            meter::ask_for_capacity(&request.operation, &mut request.body);
            meter.start(&request.operation)
        });
        for _ in 0..if metered.is_some() { METERED_YIELDS } else { YIELDS } {
            tokio::task::yield_now().await;
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
            Fault::Delay(length) => {
                tokio::time::sleep(Duration::from_millis(length.as_millis())).await;
                Ok(self.execute(&request, metered.as_ref()).await)
            }
        }
    }

    async fn execute(&self, request: &WireRequest, metered: Option<&Metered>) -> Reply {
        let reply = match request.service {
            Service::DynamoDb => self.engine.call(&request.operation, request.body.clone()).await,
            Service::SecretsManager => self.secrets.call(&request.operation, &request.body).await,
        };
        if let Some(metered) = metered {
            metered.answered(&reply);
        }
        reply
    }
}

impl std::fmt::Debug for LocalAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalAws")
    }
}
