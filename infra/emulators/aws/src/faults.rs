//! Faults: a simulation or a test lets a request fail as the network and the service do.

use std::sync::Arc;

use af_domain::time::Millis;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::wire::{Reply, WireRequest};

/// Decides what goes wrong with each request. It is asked once for each request, right before the service gets it; a
/// retry of the SDK is a request of its own.
pub trait Faults: Send + Sync {
    /// What goes wrong with `request`.
    fn before(&self, request: &WireRequest) -> Fault;

    /// The body that a bug in the caller would have sent instead; the rewritten request is subject to faults as well.
    fn rewritten(&self, request: &WireRequest) -> Option<Value> {
        let _ = request;
        None
    }

    /// `request` was carried out and got this reply. An implementation that gives out-of-date answers remembers it.
    fn answered(&self, request: &WireRequest, reply: &Reply) {
        let _ = (request, reply);
    }
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It never arrives: nothing is done, the caller sees a broken connection.
    LoseRequest,
    /// It is done, but its answer never arrives: the caller sees a broken connection.
    LoseResponse,
    /// It arrives twice; the caller sees the second answer.
    Duplicate,
    /// The service answers this instead of doing it: throttling, or a transaction conflict.
    Respond {
        /// The HTTP status.
        status: u16,
        /// The error in the API's JSON (`__type`, `message`, …).
        body: Value,
    },
    /// The caller sees a broken connection; the service gets the request after this time, as one that was on its way.
    Late(Millis),
    /// It is delayed by this much real (not virtual) time, then done.
    Delay(Millis),
    /// Of each table's keys in a `BatchGetItem`, only the first so many are read, at least one; the answer names the
    /// others as unprocessed, as it does when the service throttles. Nothing to another request.
    Unprocessed(usize),
    /// It waits until the gate is opened, then it is done, as when its sender is frozen right before it.
    HeldUp(Gate),
}

/// Holds requests back until it is opened; it never closes again. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// Lets through all requests that wait, and all later ones.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when the gate is open.
    pub async fn passed(&self) {
        // An error would say that the sender is gone, and the sender is this gate.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Removes all keys of each table but the first `processed` from the batch read `body`, and returns the removed keys as
/// the `UnprocessedKeys` of the answer.
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
