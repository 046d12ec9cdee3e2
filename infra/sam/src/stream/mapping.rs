//! One event source mapping: a table's stream, and what of it a function wants.

use af_domain::time::Millis;
use serde_json::Value;

use super::filter::Pattern;
use crate::invoke::EventFunction;

/// An event source mapping as the template declares it.
#[derive(Debug)]
pub struct Mapping {
    /// Names the mapping and its checkpoint: the function's logical id and the event's.
    pub id: String,
    /// The table's DynamoDB name.
    pub table: String,
    /// Who gets the records.
    pub function: EventFunction,
    /// A record is wanted when one of these matches; all are when there are none.
    pub filters: Vec<Pattern>,
    /// Records of one invocation at most.
    pub batch_size: usize,
    /// How long (real time) an incomplete batch waits for more.
    pub window: Millis,
    /// Retries before a failing batch is given up; `None` means the local default of ten.
    pub max_retries: Option<u32>,
    /// Whether a failing batch is split to find the record that fails.
    pub bisect: bool,
    /// Whether the function's `batchItemFailures` are heeded.
    pub report_batch_item_failures: bool,
}

impl Mapping {
    pub(super) fn wants(&self, record: &Value) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|pattern| pattern.matches(record))
    }
}
