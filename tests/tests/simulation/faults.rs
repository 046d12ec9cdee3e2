//! Faults between the use cases and the table: lost, duplicated, delayed and late requests, lost answers, throttling,
//! transaction conflicts, partly processed batches, stale reads of indexes and replicas, functions that die, and
//! concurrent writes between a read and the write that depends on it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use af_domain::time::Millis;
use af_emulator_aws::{Fault, Faults, Reply, Service, WireRequest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::costs::{Costs, Operation};
use crate::mutations::Mutation;
use crate::tally::{Event, Tally};

/// Longest delay of a request, ms: far shorter than a lease, far longer than a usual answer.
const MAX_DELAY_MS: u64 = 2_000;
/// The largest age of a stale read from a replica or an index.
pub const MAX_BEHIND: Duration = Duration::from_secs(3);
/// Answers that are stored for later stale reads.
const MAX_REMEMBERED: usize = 200;

/// Longest time until a request arrives whose sender has already given up, ms.
const MAX_LATE_MS: u64 = 5_000;
/// Limit of the requests that an instance makes in the call in which it dies: the number of a worker's call, or of a
/// reconcile run.
const MAX_REQUESTS_BEFORE_DEATH: [u32; 2] = [3, 16];
/// Kinds of faults of a request.
const KINDS: usize = 9;
/// The kind that is a delay, and its chance in a thousand in a slow world.
const DELAY: usize = 3;
const DELAYS_OF_A_SLOW_WORLD: u32 = 300;
/// Largest chance in a thousand of a concurrent write between a read of a conversation and the write that depends on
/// it.
const MAX_COLLISIONS: u32 = 200;
/// Divisor of that chance for claims, because there are many claims.
const CLAIM_COLLISION_DIVISOR: u32 = 8;
/// How long such a write is delayed, ms. The concurrent write happens in this time unless it has a fault.
const COLLISION_MS: std::ops::Range<u64> = 50..500;
/// One world in this many has no faults. It shows the request counts of operations without retries.
const FAULT_FREE_ONE_IN: u64 = 10;

/// The faults that one function instance gets from the network and the table.
pub struct InstanceFaults {
    rng: Mutex<StdRng>,
    /// Shared by all instances: replicas of one table.
    shared: Arc<Shared>,
    requests: AtomicU64,
    /// The operation that the instance runs, or ran last.
    operation: Mutex<Option<Operation>>,
    /// The planned death of the instance, if there is one.
    planned_death: Mutex<Option<PlannedDeath>>,
    dead: AtomicBool,
    death: Notify,
}

/// When an instance dies: after this many requests. `carried_out` says whether the last request still takes effect.
struct PlannedDeath {
    after: u32,
    carried_out: bool,
}

/// The state that all instances of one world share.
pub struct Shared {
    /// Whether faults happen. They are off in the final phase, in which all work must end.
    pub faults_on: AtomicBool,
    /// The events so far.
    pub tally: Tally,
    /// The request counts of operations.
    pub costs: Costs,
    /// The planted bug, which changes requests.
    pub mutation: Mutation,
    /// Whether this world never has faults.
    pub is_fault_free: bool,
    /// The chance of each kind of fault in a thousand; it depends on the seed.
    chances: [u32; KINDS],
    /// The chance that an instance dies during a call, in a thousand.
    deaths: u32,
    /// The chance of a concurrent write between a read and its write, in a thousand.
    collisions: u32,
    /// Gets each conversation that needs a concurrent write now.
    collision_requests: mpsc::UnboundedSender<String>,
    remembered: Mutex<HashMap<String, (Instant, Reply)>>,
}

impl Shared {
    pub fn new(seed: u64, mutation: Mutation, collision_requests: mpsc::UnboundedSender<String>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xfa17);
        // Some worlds lack some kinds of faults: a fault that is always there can hide the effect of another fault.
        let mut chance = |max: u32| if rng.random_bool(0.3) { 0 } else { rng.random_range(1..max) };
        let mut chances: [u32; KINDS] = std::array::from_fn(|_| chance(25));
        let deaths = chance(100);
        let collisions = chance(MAX_COLLISIONS);
        // In some worlds most requests are delayed, so that all actors interleave.
        if rng.random_bool(0.25) {
            chances[DELAY] = DELAYS_OF_A_SLOW_WORLD;
        }
        Self {
            faults_on: AtomicBool::new(false),
            tally: Tally::default(),
            costs: Costs::default(),
            mutation,
            is_fault_free: is_fault_free_seed(seed),
            chances,
            deaths,
            collisions,
            collision_requests,
            remembered: Mutex::default(),
        }
    }
}

/// Whether the world of `seed` never has faults.
pub fn is_fault_free_seed(seed: u64) -> bool {
    seed % FAULT_FREE_ONE_IN == FAULT_FREE_ONE_IN - 1
}

impl InstanceFaults {
    pub fn new(seed: u64, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            shared,
            requests: AtomicU64::new(0),
            operation: Mutex::default(),
            planned_death: Mutex::default(),
            dead: AtomicBool::new(false),
            death: Notify::new(),
        })
    }

    /// The number of requests of this instance so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Starts a call, in which this instance may die.
    pub fn begin(&self, operation: Operation) {
        *self.operation.lock().unwrap() = Some(operation);
        let mut rng = self.rng.lock().unwrap();
        let dies =
            self.shared.faults_on.load(Ordering::Relaxed) && rng.random_range(0..1_000) < self.shared.deaths;
        let max_requests = MAX_REQUESTS_BEFORE_DEATH[usize::from(rng.random_bool(0.5))];
        *self.planned_death.lock().unwrap() = dies.then(|| PlannedDeath {
            after: rng.random_range(0..max_requests),
            carried_out: rng.random_bool(0.5),
        });
    }

    /// Counts a fault of the running call.
    pub fn count(&self, event: Event) {
        self.shared.tally.count(event);
        if let Some(operation) = *self.operation.lock().unwrap() {
            self.shared.tally.count_in(event, operation);
        }
    }

    /// Waits for the instance's death.
    pub async fn death(&self) {
        self.death.notified().await;
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// The fault of the request with which this instance dies.
    fn fault_at_death(&self) -> Option<Fault> {
        let mut planned_death = self.planned_death.lock().unwrap();
        let planned_death = planned_death.as_mut()?;
        if planned_death.after > 0 {
            planned_death.after -= 1;
            return None;
        }
        self.dead.store(true, Ordering::Relaxed);
        self.death.notify_one();
        Some(if planned_death.carried_out { Fault::LoseResponse } else { Fault::LoseRequest })
    }

    /// Delays a write that depends on a read of a conversation, and requests a concurrent write there.
    fn collision(&self, request: &WireRequest) -> Option<Fault> {
        let (conversation, is_claim) = depends_on(request)?;
        let chance = self.shared.collisions / if is_claim { CLAIM_COLLISION_DIVISOR } else { 1 };
        let mut rng = self.rng.lock().unwrap();
        if rng.random_range(0..1_000) >= chance {
            return None;
        }
        // Sending fails only after the world has ended.
        let _ = self.shared.collision_requests.send(conversation.to_owned());
        Some(Fault::Delay(Millis::new(rng.random_range(COLLISION_MS))))
    }

    fn draw(&self, request: &WireRequest) -> (Fault, Option<Event>) {
        let mut rng = self.rng.lock().unwrap();
        let roll = rng.random_range(0..1_000);
        let mut below = 0;
        let kind = self.shared.chances.iter().position(|chance| {
            below += chance;
            roll < below
        });
        let mut within = |max| Millis::new(rng.random_range(1..max));
        let (fault, event) = match kind {
            Some(0) => (Fault::LoseRequest, Event::RequestLost),
            Some(1) => (Fault::LoseResponse, Event::AnswerLost),
            Some(2) => (Fault::Duplicate, Event::RequestTwice),
            Some(DELAY) => (Fault::Delay(within(MAX_DELAY_MS)), Event::RequestDelayed),
            Some(4) => (Fault::Late(within(MAX_LATE_MS)), Event::RequestLate),
            Some(5) if request.operation == "TransactWriteItems" && roll % 2 == 0 => {
                (cancelled(request, "ThrottlingError"), Event::TransactionThrottled)
            }
            Some(5) => (error_reply("ThrottlingException", &request.operation), Event::Throttled),
            Some(6) if request.operation == "TransactWriteItems" => {
                (cancelled(request, "TransactionConflict"), Event::TransactionConflict)
            }
            Some(6) if request.operation == "UpdateItem" => {
                (error_reply("TransactionConflictException", "UpdateItem"), Event::ConflictOnUpdate)
            }
            Some(7) => match self.stale_answer(request) {
                Some(fault) if request.body["IndexName"].is_null() => (fault, Event::ReplicaBehind),
                Some(fault) => (fault, Event::IndexBehind),
                None => return (Fault::None, None),
            },
            Some(8) if keys_of_batch(request) > 1 => {
                let processed = rng.random_range(1..keys_of_batch(request));
                (Fault::Unprocessed(processed), Event::BatchCutShort)
            }
            _ => return (Fault::None, None),
        };
        (fault, Some(event))
    }

    /// An earlier answer to the same read, where the read is eventually consistent.
    fn stale_answer(&self, request: &WireRequest) -> Option<Fault> {
        let remembered = self.shared.remembered.lock().unwrap();
        let (answered, reply) = remembered.get(&eventual_read(request)?)?;
        if answered.elapsed() >= MAX_BEHIND {
            return None;
        }
        Some(Fault::Respond { status: reply.status, body: reply.body.clone() })
    }
}

impl Faults for InstanceFaults {
    fn before(&self, request: &WireRequest) -> Fault {
        if request.service != Service::DynamoDb {
            return Fault::None;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if !self.shared.faults_on.load(Ordering::Relaxed) {
            return Fault::None;
        }
        if let Some(fault) = self.fault_at_death() {
            return fault;
        }
        if let Some(delay) = self.collision(request) {
            return delay;
        }
        let (fault, event) = self.draw(request);
        if let Some(event) = event {
            self.count(event);
        }
        fault
    }

    fn rewritten(&self, request: &WireRequest) -> Option<Value> {
        self.shared.mutation.applied_to(request, *self.operation.lock().unwrap())
    }

    fn answered(&self, request: &WireRequest, reply: &Reply) {
        if reply.status == 400 && depends_on(request).is_some() && condition_failed(reply) {
            self.count(Event::ConditionFailed);
        }
        if let Some(read) = eventual_read(request)
            && reply.status == 200
        {
            let mut remembered = self.shared.remembered.lock().unwrap();
            if remembered.len() >= MAX_REMEMBERED {
                remembered.clear();
            }
            // An answer stays until it is too old for a stale read: a replica that is behind stays so for a while.
            remembered
                .entry(read)
                .and_modify(|kept| {
                    if kept.0.elapsed() >= MAX_BEHIND {
                        *kept = (Instant::now(), reply.clone());
                    }
                })
                .or_insert_with(|| (Instant::now(), reply.clone()));
        }
    }
}

/// The key of an eventually consistent read: a read of an index, or a read without `ConsistentRead`. The key leaves out
/// the time up to which the ready index is read, because otherwise no read would have the same key twice.
fn eventual_read(request: &WireRequest) -> Option<String> {
    let body = &request.body;
    if !matches!(request.operation.as_str(), "GetItem" | "Query" | "Scan") || body["ConsistentRead"] == true {
        return None;
    }
    let mut named = body.clone();
    if let Some(values) = named["ExpressionAttributeValues"].as_object_mut() {
        values.remove(":until");
    }
    Some(format!("{} {named}", request.operation))
}

/// The conversation on whose version the write `request` depends, if there is one, and whether the write is a claim.
fn depends_on(request: &WireRequest) -> Option<(&str, bool)> {
    // The update expression decides, because a planted bug may have removed the condition.
    fn of_version(update: &Value) -> Option<(&str, bool)> {
        let writes = update["UpdateExpression"].as_str().filter(|writes| writes.contains("#v = :set_v"))?;
        let pk = update["Key"]["pk"]["S"].as_str().filter(|pk| pk.starts_with("C#"))?;
        Some((pk, writes.contains("#fn = ")))
    }
    let body = &request.body;
    match request.operation.as_str() {
        "UpdateItem" => of_version(body),
        "TransactWriteItems" => {
            body["TransactItems"].as_array()?.iter().find_map(|w| of_version(&w["Update"]))
        }
        _ => None,
    }
}

fn condition_failed(reply: &Reply) -> bool {
    let reasons = reply.body["CancellationReasons"].as_array();
    reasons.is_some_and(|r| r.iter().any(|r| r["Code"] == "ConditionalCheckFailed"))
        || reply.body["__type"].as_str().is_some_and(|t| t.ends_with("ConditionalCheckFailedException"))
}

fn keys_of_batch(request: &WireRequest) -> usize {
    let tables = request.body["RequestItems"].as_object().filter(|_| request.operation == "BatchGetItem");
    tables.and_then(|t| t.values().next()?["Keys"].as_array()).map_or(0, Vec::len)
}

fn error_reply(kind: &str, operation: &str) -> Fault {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
    Fault::Respond { status: 400, body: json!({"__type": kind, "message": format!("{operation} refused")}) }
}

fn cancelled(request: &WireRequest, why: &str) -> Fault {
    let writes = request.body["TransactItems"].as_array().map_or(1, Vec::len);
    let mut reasons = vec![json!({"Code": "None"}); writes];
    reasons[0] = json!({"Code": why, "Message": "The item is busy"});
    let body: Value = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "message": "Transaction cancelled", "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    });
    Fault::Respond { status: 400, body }
}
