//! Removes the records that all mappings of a table have passed. Without this, a stream would grow without a limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::StreamSource;

/// The number of records that the mappings of a table pass between two trims. A trim is a write to the engine's file,
/// and a few hundred stored records cost little.
const TRIM_EVERY_RECORDS: usize = 256;

pub(super) struct Trims {
    source: Arc<dyn StreamSource>,
    tables: Mutex<BTreeMap<String, TableTrim>>,
}

#[derive(Default)]
struct TableTrim {
    /// The last passed record of each mapping.
    passed: BTreeMap<String, Option<String>>,
    trimmed: Option<String>,
    records_since: usize,
}

impl TableTrim {
    /// The record up to which the table may be trimmed, if it has changed.
    fn due(&mut self) -> Option<String> {
        // `None` sorts first, so a mapping that has passed no record prevents the trim.
        let through = self.passed.values().min().cloned().flatten();
        if through <= self.trimmed {
            return None;
        }
        self.records_since = 0;
        self.trimmed = through;
        self.trimmed.clone()
    }
}

impl Trims {
    pub(super) fn new(source: Arc<dyn StreamSource>) -> Self {
        Self { source, tables: Mutex::default() }
    }

    /// Adds a mapping of `table` at its position. All mappings must be added before any of them passes a record.
    pub(super) fn add(&self, table: &str, mapping: &str, passed: Option<String>) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.entry(table.to_owned()).or_default().passed.insert(mapping.to_owned(), passed);
    }

    /// Records that `mapping` has passed all records up to `sequence`, `records` more than before.
    pub(super) fn passed(&self, table: &str, mapping: &str, sequence: &str, records: usize) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = tables.get_mut(table) else {
            return;
        };
        entry.passed.insert(mapping.to_owned(), Some(sequence.to_owned()));
        entry.records_since += records;
        if entry.records_since >= TRIM_EVERY_RECORDS
            && let Some(through) = entry.due()
        {
            self.trim(table, &through);
        }
    }

    /// Trims the remaining records, because the pump stops.
    pub(super) fn finish(&self) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, entry) in tables.iter_mut() {
            if let Some(through) = entry.due() {
                self.trim(table, &through);
            }
        }
    }

    fn trim(&self, table: &str, through: &str) {
        if let Err(error) = self.source.trim(table, through) {
            // The next trim goes further and removes these records too.
            tracing::warn!(table, through, error = format!("{error:#}"), "stream records were not trimmed");
        }
    }
}
