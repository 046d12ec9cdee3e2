//! The seam through which a simulation or a test lets a request go wrong, as the network and the service do.

use af_domain::time::Millis;
use serde_json::Value;

use super::wire::WireRequest;

/// Decides what happens to each request. It is asked once a request, right before the service would get it; a
/// retry of the SDK is a request of its own.
pub trait Faults: Send + Sync {
    /// What goes wrong with `request`.
    fn before(&self, request: &WireRequest) -> Fault;
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
    /// It is held up on the way by so much real (not virtual) time, then done.
    Delay(Millis),
}
