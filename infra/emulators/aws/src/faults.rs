//! The seam through which a simulation or a test lets a request go wrong, as the network and the service do.

use std::sync::Arc;

use af_domain::time::Millis;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::wire::{Reply, WireRequest};

/// Decides what happens to each request. It is asked once a request, right before the service would get it; a
/// retry of the SDK is a request of its own.
pub trait Faults: Send + Sync {
    /// What goes wrong with `request`.
    fn before(&self, request: &WireRequest) -> Fault;

    /// What a bug in the caller would have sent in place of `request`; it meets faults like any other.
    fn rewritten(&self, request: &WireRequest) -> Option<Value> {
        let _ = request;
        None
    }

    /// `request` was carried out and answered so; whoever wants to give out-of-date answers remembers them here.
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
    /// The caller sees a broken connection, and so much later the service gets it all the same: it was on its way.
    Late(Millis),
    /// It is held up on the way by so much real (not virtual) time, then done.
    Delay(Millis),
    /// Of each table's keys in a `BatchGetItem`, only the first so many are read, at least one; the answer names the
    /// others as unprocessed, as it does when the service throttles. Nothing to another request.
    Unprocessed(usize),
    /// It is held up on the way until the gate is opened, then done: its sender was frozen right before it.
    HeldUp(Gate),
}

/// What holds requests up until it is opened, for good. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// Lets through whoever waits here, or comes later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when the gate is open.
    pub async fn passed(&self) {
        // Its sender is this gate: an error, which says that the sender is gone, cannot come.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Takes from the batch read `body` all keys of each table but the first `processed`; answers what becomes of these, as
/// the service names it.
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
