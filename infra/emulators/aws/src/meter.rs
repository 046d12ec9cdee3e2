//! Counts the cost of an operation at DynamoDB: requests, sequential rounds and capacity.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::wire::Reply;

/// The most calls that are stored in detail between two [`Meter::take`]s. The sums count all calls.
const MAX_CALLS_KEPT: usize = 1_000;

/// Counts the DynamoDB requests of its clients. Clones share their counts.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    counts: Arc<Mutex<Counts>>,
}

/// The usage since the last [`Meter::take`]. Units are those that DynamoDB bills.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Requests to DynamoDB.
    pub requests: u32,
    /// The longest chain of requests in which each began after the response to the previous one. Parallel requests
    /// are one round.
    pub rounds: u32,
    /// Write units, including those of indexes.
    pub write_units: f64,
    /// The write units of indexes.
    pub index_write_units: f64,
    /// Read units.
    pub read_units: f64,
    /// Requests that a failed condition refused. The engine reports no units for them, although DynamoDB bills them
    /// like successful writes.
    pub failed_conditions: u32,
    /// The first thousand requests in the order of their responses, which explain the sums.
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
    /// Write units, including those of indexes.
    pub write_units: f64,
    /// The write units of indexes.
    pub index_write_units: f64,
    /// Read units.
    pub read_units: f64,
}

#[derive(Debug, Default)]
struct Counts {
    usage: Usage,
    /// The highest round with a finished request.
    ended: u32,
    /// The number of takes. A request that began before the last take is not counted after it.
    taken: u64,
}

/// A running request. When it is dropped without a response, because its caller gave up, it still counts.
#[derive(Debug)]
pub(super) struct Metered {
    meter: Meter,
    operation: String,
    round: u32,
    taken: u64,
}

impl Meter {
    /// Returns the usage since the last call and sets the meter to zero. Responses to requests that still run are not
    /// counted.
    pub fn take(&self) -> Usage {
        let mut counts = self.counts();
        let next = Counts { taken: counts.taken + 1, ..Counts::default() };
        std::mem::replace(&mut *counts, next).usage
    }

    /// Counts the start of a request.
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
    /// Counts the cost of the request, once for each time that it was carried out.
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

/// Adds to the request that the response reports its capacity for each index, if the operation supports it.
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
