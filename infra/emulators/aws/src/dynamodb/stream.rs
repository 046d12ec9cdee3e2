//! The stream records of the engine: reading and trimming them.
//!
//! The engine derives a new sequence number from the highest existing one. Without an index, every write would scan
//! all records; [`index_records`] creates the index. Because the number comes from the existing records, a trim keeps
//! the newest record as a tombstone, which is in no shard and therefore invisible. So the numbers keep growing after
//! all records were trimmed.

use anyhow::Context;
use dynoxide::actions::get_records::{self, GetRecordsRequest};
use dynoxide::actions::get_shard_iterator::encode_shard_iterator;
use dynoxide::storage::Storage;
use dynoxide::streams;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Engine, finish};

/// The first of the 21-digit numbers that the engine shows for its own 1, 2, 3, …
const SEQUENCE_ZERO: u128 = 100_000_000_000_000_000_000;

/// The most records in one page of the engine, which is the limit of DynamoDB.
const MAX_RECORDS_PAGE: usize = 1_000;

/// Creates the index that keeps writes to a stream-enabled table as fast as the first one.
pub(super) fn index_records(storage: &Storage) -> dynoxide::Result<()> {
    storage.conn().execute_batch(
        "CREATE INDEX IF NOT EXISTS agent_factory_stream_sequence \
         ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
    )?;
    Ok(())
}

impl Engine {
    /// Returns up to `limit` stream records of `table` after the sequence number `after` (from the oldest if `None`),
    /// oldest first, each as Lambda delivers it. Fewer than `limit` records means that there are no more.
    ///
    /// # Errors
    /// When `after` is not a sequence number, or the engine fails.
    pub fn records(&self, table: &str, after: Option<&str>, limit: usize) -> anyhow::Result<Vec<Value>> {
        let state = self.state();
        let Some(meta) = state.storage.get_table_metadata(table)? else {
            return Ok(Vec::new());
        };
        let arn = streams::stream_arn(table, meta.stream_label.as_deref().unwrap_or_default());
        let shard = streams::shard_id(table);
        let mut position = after.map_or(Ok(0), stored)?;
        let mut records = Vec::new();
        while records.len() < limit {
            let page_limit = MAX_RECORDS_PAGE.min(limit - records.len());
            let request = GetRecordsRequest {
                shard_iterator: encode_shard_iterator(table, &shard, position),
                limit: Some(page_limit),
            };
            let page = finish(get_records::execute(&state.storage, request))?.records;
            let Some(last) = page.last() else { break };
            position = stored(&last.dynamodb.sequence_number)?;
            let complete = page.len() < page_limit;
            for record in page {
                let mut record = serde_json::to_value(record)?;
                record["eventSourceARN"] = json!(arn);
                records.push(record);
            }
            if complete {
                break;
            }
        }
        Ok(records)
    }

    /// Removes the records of `table` up to and including the sequence number `through`.
    ///
    /// # Errors
    /// When `through` is not a sequence number, or the engine fails.
    pub fn trim(&self, table: &str, through: &str) -> anyhow::Result<()> {
        let through = stored(through)?;
        let state = self.state();
        let storage = &state.storage;
        storage.begin_transaction()?;
        match forget(storage, table, through).and_then(|()| storage.commit()) {
            Ok(()) => Ok(()),
            Err(failed) => {
                // Only the first error is returned. If SQLite has already ended the transaction, there is nothing to
                // roll back.
                let _ = storage.rollback();
                Err(failed).with_context(|| format!("cannot trim the stream of {table}"))
            }
        }
    }

    /// Returns a counter that changes soon after every write to a table.
    pub fn writes(&self) -> watch::Receiver<u64> {
        self.shared.writes.subscribe()
    }
}

fn forget(storage: &Storage, table: &str, through: i64) -> dynoxide::Result<()> {
    let newest: Option<i64> = storage.conn().query_row(
        "SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?1",
        [table],
        |row| row.get(0),
    )?;
    let Some(newest) = newest else { return Ok(()) };
    storage.conn().execute(
        "DELETE FROM _stream_records WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) <= ?2",
        (table, through.min(newest - 1)),
    )?;
    if newest <= through {
        storage.conn().execute(
            "UPDATE _stream_records SET shard_id = '', new_image = NULL, old_image = NULL \
             WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) = ?2",
            (table, newest),
        )?;
    }
    Ok(())
}

/// The internal number of a public sequence number.
fn stored(public: &str) -> anyhow::Result<i64> {
    public
        .parse::<u128>()
        .ok()
        .and_then(|number| number.checked_sub(SEQUENCE_ZERO))
        .and_then(|number| i64::try_from(number).ok())
        .with_context(|| format!("{public} is not a sequence number"))
}
