//! Updates the counters from the table's stream: waiting, running and dead-lettered messages.

use std::collections::BTreeMap;

use af_domain::time::Timestamp;
use af_runtime::metric::Metric;
use af_store::StoreError;
use af_store::counters::{Counters, counted};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{App, Result};

/// A record of the table's stream, limited to the needed fields.
#[derive(Debug, Deserialize)]
pub struct StreamRecord {
    /// `INSERT`, `MODIFY` or `REMOVE`.
    #[serde(default, rename = "eventName")]
    pub event_name: String,
    /// The change.
    pub dynamodb: StreamChange,
}

/// A change of an item.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamChange {
    /// The item before.
    #[serde(default)]
    pub old_image: Option<BTreeMap<String, Value>>,
    /// The item after.
    #[serde(default)]
    pub new_image: Option<BTreeMap<String, Value>>,
    /// The sequence number in the stream.
    pub sequence_number: String,
    /// When the change was made, in seconds.
    pub approximate_creation_date_time: f64,
}

impl StreamChange {
    /// When the change was made.
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_millis((self.approximate_creation_date_time * 1_000.0) as u64)
    }
}

/// Adds the changes of `records` to the counters. A batch that is delivered again within ten minutes counts
/// once. A malformed record is skipped, because it would otherwise block the other records.
///
/// The written values, including the time, depend only on the records: DynamoDB refuses a client token that
/// is repeated with another write.
pub async fn count(app: &App, records: &[StreamRecord]) -> Result<()> {
    let mut change = Counters::default();
    for StreamRecord { dynamodb: record, .. } in records {
        match change_of(record) {
            Ok((before, after)) => {
                change.add(&after);
                change.add(&negative(&before));
            }
            Err(error) => {
                tracing::error!(%error, record = record.sequence_number, "a malformed stream record is not counted")
            }
        }
    }
    if !change.is_zero() {
        app.store.count(&change, token(records)).await?;
    }
    Ok(())
}

/// Records the counters as metrics.
pub async fn measure(app: &App) -> Result<()> {
    let counters = app.store.counters().await?;
    // A counter can be below 0 for a moment, because the stream has no order between items.
    let value = |counter: i64| u64::try_from(counter).unwrap_or_default();
    Metric::MessagesReady.record(value(counters.queued_ready));
    Metric::MessagesScheduled.record(value(counters.queued_scheduled));
    Metric::MessagesProcessing.record(value(counters.processing));
    Metric::DeadLetters.record(value(counters.dead_letter));
    Ok(())
}

/// Returns the counter values of the item before and after.
fn change_of(record: &StreamChange) -> Result<(Counters, Counters), StoreError> {
    let of = |image: &Option<BTreeMap<String, Value>>| counted(image.as_ref(), record.at());
    Ok((of(&record.old_image)?, of(&record.new_image)?))
}

fn negative(counters: &Counters) -> Counters {
    Counters {
        queued_ready: -counters.queued_ready,
        queued_scheduled: -counters.queued_scheduled,
        processing: -counters.processing,
        dead_letter: -counters.dead_letter,
        as_of: counters.as_of,
    }
}

/// Returns a client token of at most 36 characters that identifies these records.
pub(crate) fn token(records: &[StreamRecord]) -> String {
    let mut hash = Sha256::new();
    for record in records {
        hash.update(record.dynamodb.sequence_number.as_bytes());
        hash.update([0]);
    }
    hash.finalize()[..16].iter().map(|b| format!("{b:02x}")).collect()
}
