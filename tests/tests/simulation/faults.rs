//! What goes wrong between the use cases and the table: requests and answers that are lost, doubled, delayed or late,
//! throttling, transaction conflicts, batches that are cut short, reads of indexes and replicas that are out of date,
//! functions that die, and others who come between a read and the write that was decided on it.

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

/// Longest time that a request is held up, ms: far less than a lease, far more than a usual answer.
const DELAY_MS_MAX: u64 = 2_000;
/// How far behind a replica or an index may be.
pub const BEHIND_MAX: Duration = Duration::from_secs(3);
/// Answers that are remembered, to be given again when they are out of date.
const REMEMBERED_MAX: usize = 200;

/// Longest time that a request whose sender has given up still takes to arrive, ms.
const LATE_MS_MAX: u64 = 5_000;
/// Most requests that an instance still makes in a call in which it dies: as many as a worker's call takes, or a
/// reconcile run.
const REQUESTS_BEFORE_DEATH_MAX: [u32; 2] = [3, 16];
/// Kinds of faults of a request.
const KINDS: usize = 9;
/// Which of them is a delay, and its chance in a thousand in a world that is slow.
const DELAY: usize = 3;
const DELAYS_OF_A_SLOW_WORLD: u32 = 300;
/// Most chances in a thousand that somebody comes between a read of a conversation and the write that it led to.
const COLLISIONS_MAX: u32 = 200;
/// Of claims, which are many, so much less often.
const CLAIMS_LESS: u32 = 8;
/// How long such a write is held up at least, ms: by then the other one has written, if nothing goes wrong.
const COLLISION_MS: std::ops::Range<u64> = 50..500;
/// One world in so many has no faults: what operations cost there is what they cost.
const CALM_ONE_IN: u64 = 10;

/// The network and the table, as one function instance meets them.
pub struct Troubles {
    rng: Mutex<StdRng>,
    /// Shared by all instances: replicas of one table.
    shared: Arc<Shared>,
    requests: AtomicU64,
    /// What the instance runs, or ran last.
    operation: Mutex<Option<Operation>>,
    /// The death of the instance, if it is to come.
    doom: Mutex<Option<Doom>>,
    dead: AtomicBool,
    death: Notify,
}

/// When an instance dies: after so many requests, and whether the last of them is still carried out.
struct Doom {
    after: u32,
    carried_out: bool,
}

/// What all instances of one world have in common.
pub struct Shared {
    /// Whether anything goes wrong at all; off at the end, when everything must come to rest.
    pub on: AtomicBool,
    /// What happened.
    pub tally: Tally,
    /// What operations cost.
    pub costs: Costs,
    /// A fault of the code, put into its requests.
    pub mutation: Mutation,
    /// Whether nothing goes wrong in this world, ever.
    pub always_calm: bool,
    /// Chances of each fault in a thousand; differ from seed to seed.
    chances: [u32; KINDS],
    /// The chance that an instance dies during a call, in a thousand.
    deaths: u32,
    /// The chance that somebody comes between a read and its write, in a thousand.
    collisions: u32,
    /// Hears of each conversation to which somebody shall come now.
    meddlers: mpsc::UnboundedSender<String>,
    remembered: Mutex<HashMap<String, (Instant, Reply)>>,
}

impl Shared {
    pub fn new(seed: u64, mutation: Mutation, meddlers: mpsc::UnboundedSender<String>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xfa17);
        // Some worlds are calm in some respect: a fault that is always there hides what another one shows.
        let mut chance = |most: u32| if rng.random_bool(0.3) { 0 } else { rng.random_range(1..most) };
        let mut chances: [u32; KINDS] = std::array::from_fn(|_| chance(25));
        let deaths = chance(100);
        let collisions = chance(COLLISIONS_MAX);
        // In some worlds everything comes between everything.
        if rng.random_bool(0.25) {
            chances[DELAY] = DELAYS_OF_A_SLOW_WORLD;
        }
        Self {
            on: AtomicBool::new(false),
            tally: Tally::default(),
            costs: Costs::default(),
            mutation,
            always_calm: is_always_calm(seed),
            chances,
            deaths,
            collisions,
            meddlers,
            remembered: Mutex::default(),
        }
    }
}

/// Whether nothing ever goes wrong in the world of `seed`.
pub fn is_always_calm(seed: u64) -> bool {
    seed % CALM_ONE_IN == CALM_ONE_IN - 1
}

impl Troubles {
    pub fn new(seed: u64, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            shared,
            requests: AtomicU64::new(0),
            operation: Mutex::default(),
            doom: Mutex::default(),
            dead: AtomicBool::new(false),
            death: Notify::new(),
        })
    }

    /// Requests of this instance so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// A call begins: perhaps the one in which this instance dies.
    pub fn begin(&self, operation: Operation) {
        *self.operation.lock().unwrap() = Some(operation);
        let mut rng = self.rng.lock().unwrap();
        let dies = self.shared.on.load(Ordering::Relaxed) && rng.random_range(0..1_000) < self.shared.deaths;
        let requests_max = REQUESTS_BEFORE_DEATH_MAX[usize::from(rng.random_bool(0.5))];
        *self.doom.lock().unwrap() = dies
            .then(|| Doom { after: rng.random_range(0..requests_max), carried_out: rng.random_bool(0.5) });
    }

    /// Counts a fault of the call that runs.
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

    /// The last thing that becomes of a request of an instance that dies with it.
    fn doomed(&self) -> Option<Fault> {
        let mut doom = self.doom.lock().unwrap();
        let doom = doom.as_mut()?;
        if doom.after > 0 {
            doom.after -= 1;
            return None;
        }
        self.dead.store(true, Ordering::Relaxed);
        self.death.notify_one();
        Some(if doom.carried_out { Fault::LoseResponse } else { Fault::LoseRequest })
    }

    /// Holds up a write that was decided on what was read of a conversation, and lets somebody else write there.
    fn collision(&self, request: &WireRequest) -> Option<Fault> {
        let (conversation, is_claim) = decided_on(request)?;
        let chance = self.shared.collisions / if is_claim { CLAIMS_LESS } else { 1 };
        let mut rng = self.rng.lock().unwrap();
        if rng.random_range(0..1_000) >= chance {
            return None;
        }
        // The world has ended when nobody listens.
        let _ = self.shared.meddlers.send(conversation.to_owned());
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
        let mut within = |most| Millis::new(rng.random_range(1..most));
        let (fault, event) = match kind {
            Some(0) => (Fault::LoseRequest, Event::RequestLost),
            Some(1) => (Fault::LoseResponse, Event::AnswerLost),
            Some(2) => (Fault::Duplicate, Event::RequestTwice),
            Some(DELAY) => (Fault::Delay(within(DELAY_MS_MAX)), Event::RequestDelayed),
            Some(4) => (Fault::Late(within(LATE_MS_MAX)), Event::RequestLate),
            Some(5) if request.operation == "TransactWriteItems" && roll % 2 == 0 => {
                (cancelled(request, "ThrottlingError"), Event::TransactionThrottled)
            }
            Some(5) => (refusal("ThrottlingException", &request.operation), Event::Throttled),
            Some(6) if request.operation == "TransactWriteItems" => {
                (cancelled(request, "TransactionConflict"), Event::TransactionConflict)
            }
            Some(6) if request.operation == "UpdateItem" => {
                (refusal("TransactionConflictException", "UpdateItem"), Event::ConflictOnUpdate)
            }
            Some(7) => match self.out_of_date(request) {
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
        self.requests.fetch_add(1, Ordering::Relaxed);
        if !self.shared.on.load(Ordering::Relaxed) {
            return Fault::None;
        }
        if let Some(last) = self.doomed() {
            return last;
        }
        if let Some(held_up) = self.collision(request) {
            return held_up;
        }
        let (fault, event) = self.draw(request);
        if let Some(event) = event {
            self.count(event);
        }
        fault
    }

    fn rewritten(&self, request: &WireRequest) -> Option<Value> {
        self.shared.mutation.applied_to(request)
    }

    fn answered(&self, request: &WireRequest, reply: &Reply) {
        if reply.status == 400 && decided_on(request).is_some() && condition_failed(reply) {
            self.count(Event::Overtaken);
        }
        if let Some(read) = eventual_read(request)
            && reply.status == 200
        {
            let mut remembered = self.shared.remembered.lock().unwrap();
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
            // The oldest that may still be given: a replica that is behind stays so for a while.
            remembered
                .entry(read)
                .and_modify(|kept| {
                    if kept.0.elapsed() >= BEHIND_MAX {
                        *kept = (Instant::now(), reply.clone());
                    }
                })
                .or_insert_with(|| (Instant::now(), reply.clone()));
        }
    }
}

/// What names a read that may be out of date: one of an index, or one that does not ask for consistency. The
/// moment up to which the ready index is read is left out, or no read would ever come twice.
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

/// The conversation on whose version the write `request` was decided, if there is one, and whether it is a claim.
fn decided_on(request: &WireRequest) -> Option<(&str, bool)> {
    // By what it writes: a bug may have taken the condition away.
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

fn refusal(kind: &str, operation: &str) -> Fault {
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
