//! Import of many items at once, for tests with a full table.

use anyhow::Context;
use dynoxide::ImportOptions;
use dynoxide::actions::import_items;
use dynoxide::types::Item;
use serde_json::Value;

use super::{Engine, finish, operations};

impl Engine {
    /// Puts `items` into `table` in one transaction, all or none, and replaces existing items. Each item is given as
    /// in a `PutItem` request. The result is the same as with one `PutItem` per item, but ten times faster. The items are in the
    /// table's stream only if `recorded` is set.
    ///
    /// # Errors
    /// When the table is missing, or an item could not be put.
    pub async fn import(
        &self,
        table: &str,
        items: impl IntoIterator<Item = Value>,
        recorded: bool,
    ) -> anyhow::Result<usize> {
        const FAILED: &str = "the engine failed to import items";
        let items: Result<Vec<Item>, _> = items.into_iter().map(operations::read).collect();
        let items = items.context(FAILED)?;
        let table = table.to_owned();
        let options = ImportOptions { record_streams: recorded, ..ImportOptions::default() };
        let import = move |engine: Self| {
            finish(import_items::execute(&engine.state().storage, &table, items, &options))
        };
        let imported = self.run(import).await.context(FAILED)?;
        self.wrote();
        Ok(imported.items_imported)
    }
}
