//! Table streams: the delivery of stream records to functions, as by the event source mappings of Lambda.
//!
//! [`filter`] selects the records of a mapping, [`pump`] runs the mappings, [`checkpoint`] stores their positions.
//! Delivery is at least once, and in order within a mapping:
//!
//! ```text
//! read after checkpoint ──► filter ──► queue ──► batch (full, or its window is over)
//!                                                  │ delivered ──► checkpoint ──► trim what all have passed
//!                                                  └ failed ──► split, retry with backoff, finally drop and log
//! ```

use serde_json::Value;
use tokio::sync::watch;

mod batch;
pub mod checkpoint;
mod delivery;
pub mod filter;
mod mapping;
mod position;
pub mod pump;
mod task;
mod trim;

pub use mapping::Mapping;

/// The source of stream records: the embedded DynamoDB engine, or a list in a test.
///
/// A table is identified by its DynamoDB name, not by its logical id in the template. A sequence number is a string
/// of fixed width. It grows with every record of a table, also after all records were trimmed and after a restart: a
/// checkpoint outlives the records, and a repeated number would lose the second record.
pub trait StreamSource: Send + Sync + 'static {
    /// Returns up to `limit` records of `table` after the sequence number `after` (from the oldest if `None`), oldest
    /// first, each as Lambda delivers it:
    /// `{"eventID", "eventName", "dynamodb": {"Keys", "NewImage", "SequenceNumber", …}, …}`. Fewer than `limit`
    /// records means that there are no more.
    fn records(&self, table: &str, after: Option<&str>, limit: usize) -> anyhow::Result<Vec<Value>>;

    /// Removes the records of `table` up to and including the sequence number `through`, which all mappings have
    /// passed.
    fn trim(&self, table: &str, through: &str) -> anyhow::Result<()>;

    /// Returns a counter that changes soon after every write to a stream-enabled table.
    fn writes(&self) -> watch::Receiver<u64>;
}

/// The position of a record in the stream of its table.
fn sequence_number(record: &Value) -> Option<&str> {
    record.pointer("/dynamodb/SequenceNumber").and_then(Value::as_str)
}
