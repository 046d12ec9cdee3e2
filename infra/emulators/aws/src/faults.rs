//! Faults: a simulation or a test makes requests fail like the network and the service.

use std::sync::Arc;

use af_domain::time::Millis;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::wire::{Reply, WireRequest};

/// Selects the fault of each request. It is called once for each request, right before the service gets it. A retry
/// of the SDK is a separate request.
pub trait Faults: Send + Sync {
    /// Returns the fault of `request`.
    fn before(&self, request: &WireRequest) -> Fault;

    /// Returns the body that a bug in the caller would send instead. The rewritten request is subject to faults as
    /// well.
    fn rewritten(&self, request: &WireRequest) -> Option<Value> {
        let _ = request;
        None
    }

    /// Reports that `request` was carried out with this reply. An implementation that returns outdated answers stores
    /// it.
    fn answered(&self, request: &WireRequest, reply: &Reply) {
        let _ = (request, reply);
    }
}

/// The fault of one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The request is lost: it is not carried out, and the caller sees a broken connection.
    LoseRequest,
    /// The response is lost: the request is carried out, and the caller sees a broken connection.
    LoseResponse,
    /// The request is carried out twice, and the caller gets the second response.
    Duplicate,
    /// The request is not carried out, and the service answers with this error: throttling, or a transaction
    /// conflict.
    Respond {
        /// The HTTP status.
        status: u16,
        /// The error in the API's JSON (`__type`, `message`, …).
        body: Value,
    },
    /// The caller sees a broken connection, and the service gets the request after this time, because it was still in
    /// transit.
    Late(Millis),
    /// The request is carried out after this delay, in real time.
    Delay(Millis),
    /// A `BatchGetItem` reads only this number of keys of each table, at least one. The response lists the others as
    /// unprocessed, as when the service throttles. Other requests are not affected.
    Unprocessed(usize),
    /// The request waits until the gate is opened, and is then carried out, as when its sender is frozen before it
    /// sends.
    HeldUp(Gate),
}

/// Holds requests back until it is opened. It never closes again. Clones share the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// Releases all waiting requests, and all later ones.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when the gate is open.
    pub async fn passed(&self) {
        // There is no error, because the sender is a part of this gate.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Keeps the first `processed` keys of each table in the batch read `body`, and returns the other keys as the
/// `UnprocessedKeys` of the response.
pub(super) fn take_unprocessed(body: &mut Value, processed: usize) -> Value {
    let mut unprocessed = json!({});
    for (table, wanted) in body["RequestItems"].as_object_mut().into_iter().flatten() {
        let Some(keys) = wanted["Keys"].as_array_mut().filter(|keys| keys.len() > processed.max(1)) else {
            continue;
        };
        let rest = keys.split_off(processed.max(1));
        unprocessed[table] = wanted.clone();
        unprocessed[table]["Keys"] = Value::Array(rest);
    }
    unprocessed
}
