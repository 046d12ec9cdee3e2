//! One event source mapping: the stream of a table, and the filter for a function.

use af_domain::time::Millis;
use serde_json::Value;

use super::filter::Pattern;

/// An event source mapping of the template.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// The id of the mapping and of its checkpoint: the logical ids of the function and of the event.
    pub id: String,
    /// The table's DynamoDB name.
    pub table: String,
    /// A record is delivered if one of these patterns matches, or if there are none.
    pub filters: Vec<Pattern>,
    /// The most records of one invocation.
    pub batch_size: usize,
    /// How long an incomplete batch waits for further records, in real time.
    pub window: Millis,
    /// Retries before a failing batch is given up; `None` means the local default of ten.
    pub max_retries: Option<u32>,
    /// Whether a failing batch is split to find the record that fails.
    pub bisect: bool,
    /// Whether `batchItemFailures` of the function's answer are respected.
    pub report_batch_item_failures: bool,
}

impl Mapping {
    pub(super) fn wants(&self, record: &Value) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|pattern| pattern.matches(record))
    }
}
