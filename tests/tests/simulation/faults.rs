//! What goes wrong between the use cases and the table: lost requests, lost answers, duplicates, delays, throttling,
//! transaction conflicts, and reads of indexes and replicas that are out of date.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use af_domain::time::Millis;
use af_local::aws::{Fault, Faults, Reply, Service, WireRequest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::mutations::Mutation;

/// Longest time that a request is held up, ms: far less than a lease, far more than a usual answer.
const DELAY_MS_MAX: u64 = 2_000;
/// How far behind a replica or an index may be.
pub const BEHIND_MAX: Duration = Duration::from_secs(3);
/// Answers that are remembered, to be given again when they are out of date.
const REMEMBERED_MAX: usize = 200;

/// The network and the table, as one function instance meets them.
pub struct Troubles {
    rng: Mutex<StdRng>,
    /// Shared by all instances: replicas of one table.
    shared: Arc<Shared>,
}

/// What all instances of one world have in common.
pub struct Shared {
    /// Whether anything goes wrong at all; off at the end, when everything must come to rest.
    pub on: AtomicBool,
    /// Requests so far.
    pub requests: AtomicU64,
    /// Faults so far.
    pub faults: AtomicU64,
    /// A fault of the code, put into its requests.
    pub mutation: Mutation,
    /// Chances of each fault in a thousand; differ from seed to seed.
    chances: [u32; 7],
    remembered: Mutex<HashMap<String, (Instant, Reply)>>,
}

impl Shared {
    pub fn new(seed: u64, mutation: Mutation) -> Arc<Self> {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xfa17);
        // Some worlds are calm in some respect: a fault that is always there hides what another one shows.
        let chances = std::array::from_fn(|_| if rng.random_bool(0.3) { 0 } else { rng.random_range(1..25) });
        Arc::new(Self {
            on: AtomicBool::new(true),
            requests: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            mutation,
            chances,
            remembered: Mutex::default(),
        })
    }
}

impl Troubles {
    pub fn new(seed: u64, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { rng: Mutex::new(StdRng::seed_from_u64(seed)), shared })
    }

    fn draw(&self, request: &WireRequest) -> Fault {
        let mut rng = self.rng.lock().unwrap();
        let roll = rng.random_range(0..1_000);
        let mut below = 0;
        let kind = self.shared.chances.iter().position(|chance| {
            below += chance;
            roll < below
        });
        match kind {
            Some(0) => Fault::LoseRequest,
            Some(1) => Fault::LoseResponse,
            Some(2) => Fault::Duplicate,
            Some(3) => Fault::Delay(Millis::new(rng.random_range(1..DELAY_MS_MAX))),
            Some(4) => refusal("ThrottlingException", &request.operation),
            Some(5) if request.operation == "TransactWriteItems" => conflict(request),
            Some(5) if request.operation == "UpdateItem" => {
                refusal("TransactionConflictException", "UpdateItem")
            }
            Some(6) => self.out_of_date(request).unwrap_or(Fault::None),
            _ => Fault::None,
        }
    }

    /// An earlier answer to the same read, where the read allows for one.
    fn out_of_date(&self, request: &WireRequest) -> Option<Fault> {
        let remembered = self.shared.remembered.lock().unwrap();
        let (answered, reply) = remembered.get(&eventual_read(request)?)?;
        if answered.elapsed() >= BEHIND_MAX {
            return None;
        }
        Some(Fault::Respond { status: reply.status, body: reply.body.clone() })
    }
}

impl Faults for Troubles {
    fn before(&self, request: &WireRequest) -> Fault {
        if request.service != Service::DynamoDb {
            return Fault::None;
        }
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(body) = self.shared.mutation.applied_to(request) {
            return body;
        }
        if !self.shared.on.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let fault = self.draw(request);
        if fault != Fault::None {
            self.shared.faults.fetch_add(1, Ordering::Relaxed);
        }
        fault
    }

    fn answered(&self, request: &WireRequest, reply: &Reply) {
        if let Some(read) = eventual_read(request)
            && reply.status == 200
        {
            let mut remembered = self.shared.remembered.lock().unwrap();
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
            remembered.insert(read, (Instant::now(), reply.clone()));
        }
    }
}

/// What names a read that may be out of date: one of an index, or one that does not ask for consistency. The
/// moment up to which the ready index is read is left out, or no read would ever come twice.
fn eventual_read(request: &WireRequest) -> Option<String> {
    let body = &request.body;
    if !matches!(request.operation.as_str(), "GetItem" | "Query") || body["ConsistentRead"] == true {
        return None;
    }
    let mut named = body.clone();
    if let Some(values) = named["ExpressionAttributeValues"].as_object_mut() {
        values.remove(":until");
    }
    Some(format!("{} {named}", request.operation))
}

fn refusal(kind: &str, operation: &str) -> Fault {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
    Fault::Respond { status: 400, body: json!({"__type": kind, "message": format!("{operation} refused")}) }
}

fn conflict(request: &WireRequest) -> Fault {
    let writes = request.body["TransactItems"].as_array().map_or(1, Vec::len);
    let mut reasons = vec![json!({"Code": "None"}); writes];
    reasons[0] = json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"});
    let body: Value = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "message": "Transaction cancelled", "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    });
    Fault::Respond { status: 400, body }
}
