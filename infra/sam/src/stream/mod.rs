//! Table streams: what a write to a stream-enabled table sets off, as Lambda's event source mappings do it.
//!
//! [`filter`] decides whether a mapping wants a record, [`pump`] runs the mappings, [`checkpoint`] remembers how far
//! each has come. Delivery is at least once and in order within a mapping:
//!
//! ```text
//! read after checkpoint ──► filter ──► queue ──► batch (full, or its window is over)
//!                                                  │ delivered ──► checkpoint ──► trim what all have passed
//!                                                  └ failed ──► split, retry with backoff, at last drop and log
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

/// Where a table's stream records come from: the embedded DynamoDB engine, or a list in a test.
///
/// A table is named by its DynamoDB name (not by its logical id in the template). A sequence number is a string
/// of fixed width that grows with every record of a table, and goes on growing after everything was trimmed and
/// after a restart: a checkpoint outlives the records, and a number used twice would lose the second record.
pub trait StreamSource: Send + Sync + 'static {
    /// Up to `limit` records of `table` after the sequence number `after` (from the oldest when `None`), oldest
    /// first, each as Lambda delivers it: `{"eventID", "eventName", "dynamodb": {"Keys", "NewImage",
    /// "SequenceNumber", …}, …}`. Fewer than `limit` means that these were all.
    fn records(&self, table: &str, after: Option<&str>, limit: usize) -> anyhow::Result<Vec<Value>>;

    /// Forgets the records of `table` up to and with the sequence number `through`: every mapping has passed them.
    fn trim(&self, table: &str, through: &str) -> anyhow::Result<()>;

    /// A counter that changes soon after every write to any stream-enabled table.
    fn writes(&self) -> watch::Receiver<u64>;
}

/// The place of a record in its table's stream.
fn sequence_number(record: &Value) -> Option<&str> {
    record.pointer("/dynamodb/SequenceNumber").and_then(Value::as_str)
}
