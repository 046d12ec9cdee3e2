//! Counting from the table's stream: what waits, runs and is dead.

use std::collections::BTreeMap;

use af_domain::time::Timestamp;
use af_store::counters::{Counters, counted};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{App, AppError};

/// One record of the table's stream, as far as it counts.
#[derive(Debug, Deserialize)]
pub struct StreamRecord {
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
    /// Its place in the stream.
    pub sequence_number: String,
}

/// Adds what `records` changed to the counters; a batch that comes again within ten minutes counts once.
///
/// # Errors
/// When the table cannot answer, or a record is malformed.
pub async fn count(app: &App, records: &[StreamRecord]) -> Result<(), AppError> {
    let now = app.now();
    let mut change = Counters { as_of: Some(now), ..Counters::default() };
    for record in records {
        let after = counted(record.dynamodb.new_image.as_ref(), now)?;
        change.add(&after);
        change.add(&negative(&counted(record.dynamodb.old_image.as_ref(), now)?, now));
    }
    if !change.is_zero() {
        app.store.count(&change, token(records)).await?;
    }
    Ok(())
}

fn negative(counters: &Counters, as_of: Timestamp) -> Counters {
    Counters {
        queued_ready: -counters.queued_ready,
        queued_scheduled: -counters.queued_scheduled,
        processing: -counters.processing,
        dead_letter: -counters.dead_letter,
        as_of: Some(as_of),
    }
}

/// A transaction token of at most 36 characters that names exactly these records.
fn token(records: &[StreamRecord]) -> String {
    let mut hash = Sha256::new();
    for record in records {
        hash.update(record.dynamodb.sequence_number.as_bytes());
        hash.update([0]);
    }
    hash.finalize()[..16].iter().map(|b| format!("{b:02x}")).collect()
}
