//! Counting what an operation costs at DynamoDB: requests, sequential rounds, capacity.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::wire::Reply;

/// Calls kept in detail between two [`Meter::take`]s; the sums go on counting beyond it.
const MAX_CALLS_KEPT: usize = 1_000;

/// Counts the DynamoDB requests of the clients it is given to. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    counts: Arc<Mutex<Counts>>,
}

/// What was used since the meter was last taken. Units are DynamoDB's, as it bills them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Requests to DynamoDB.
    pub requests: u32,
    /// The longest chain of requests of which each began after the one before had been answered: what the caller
    /// waits for. Requests sent side by side are one round.
    pub rounds: u32,
    /// Write units, those of indexes included.
    pub write_units: f64,
    /// The part of the write units that went into indexes.
    pub index_write_units: f64,
    /// Read units.
    pub read_units: f64,
    /// Requests refused because a condition did not hold. The engine reports no units for them (DynamoDB bills
    /// such a write like one that holds).
    pub failed_conditions: u32,
    /// The first thousand requests one by one, in the order of their answers: to see where a sum comes from.
    pub calls: Vec<Call>,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The operation, such as `UpdateItem`.
    pub operation: String,
    /// Its round, counted from 1.
    pub round: u32,
    /// Its HTTP status.
    pub status: u16,
    /// Write units, those of indexes included.
    pub write_units: f64,
    /// The part of the write units that went into indexes.
    pub index_write_units: f64,
    /// Read units.
    pub read_units: f64,
}

#[derive(Debug, Default)]
struct Counts {
    usage: Usage,
    /// The highest round that a request has already ended in.
    ended: u32,
    /// How often the meter was taken: what began before the last time is not counted after it.
    taken: u64,
}

/// A request that is under way. Dropped without an answer (a caller that gave up), it still was a request.
#[derive(Debug)]
pub(super) struct Metered {
    meter: Meter,
    operation: String,
    round: u32,
    taken: u64,
}

impl Meter {
    /// A meter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was used since the last time, and sets the meter to zero. The answers to requests that are still under
    /// way are not counted any more.
    pub fn take(&self) -> Usage {
        let mut counts = self.counts();
        let next = Counts { taken: counts.taken + 1, ..Counts::default() };
        std::mem::replace(&mut *counts, next).usage
    }

    /// Notes that a request begins.
    pub(super) fn start(&self, operation: &str) -> Metered {
        let mut counts = self.counts();
        let round = counts.ended + 1;
        counts.usage.requests += 1;
        counts.usage.rounds = counts.usage.rounds.max(round);
        Metered { meter: self.clone(), operation: operation.to_owned(), round, taken: counts.taken }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metered {
    /// Notes what the service did for the request: once each time that it was carried out.
    pub(super) fn answered(&self, reply: &Reply) {
        let call = self.call(reply);
        let mut counts = self.meter.counts();
        if counts.taken != self.taken {
            return;
        }
        let usage = &mut counts.usage;
        usage.write_units += call.write_units;
        usage.index_write_units += call.index_write_units;
        usage.read_units += call.read_units;
        usage.failed_conditions += u32::from(is_failed_condition(&reply.body));
        if usage.calls.len() < MAX_CALLS_KEPT {
            usage.calls.push(call);
        }
    }

    fn call(&self, reply: &Reply) -> Call {
        let consumed = &reply.body["ConsumedCapacity"];
        let tables = consumed.as_array().map_or(std::slice::from_ref(consumed), Vec::as_slice);
        let total: f64 = tables.iter().map(|table| units(&table["CapacityUnits"])).sum();
        let in_indexes: f64 = tables.iter().map(index_units).sum();
        let writes = is_write(&self.operation);
        Call {
            operation: self.operation.clone(),
            round: self.round,
            status: reply.status,
            write_units: if writes { total } else { 0.0 },
            index_write_units: if writes { in_indexes } else { 0.0 },
            read_units: if writes { 0.0 } else { total },
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let mut counts = self.meter.counts();
        if counts.taken == self.taken {
            counts.ended = counts.ended.max(self.round);
        }
    }
}

/// Makes the request ask for its capacity, index by index, where the operation can tell it.
pub(super) fn ask_for_capacity(operation: &str, body: &mut Value) {
    let reads = matches!(operation, "GetItem" | "Query" | "Scan" | "BatchGetItem" | "TransactGetItems");
    if reads || is_write(operation) {
        body["ReturnConsumedCapacity"] = json!("INDEXES");
    }
}

fn is_write(operation: &str) -> bool {
    matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems")
}

fn index_units(table: &Value) -> f64 {
    ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"]
        .iter()
        .filter_map(|family| table[family].as_object())
        .flat_map(|indexes| indexes.values())
        .map(|index| units(&index["CapacityUnits"]))
        .sum()
}

fn units(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn is_failed_condition(body: &Value) -> bool {
    let kind = body["__type"].as_str().and_then(|name| name.rsplit('#').next()).unwrap_or_default();
    let cancelled = || {
        body["CancellationReasons"]
            .as_array()
            .is_some_and(|reasons| reasons.iter().any(|reason| reason["Code"] == "ConditionalCheckFailed"))
    };
    kind == "ConditionalCheckFailedException" || (kind == "TransactionCanceledException" && cancelled())
}
