//! Import of many items at once, for tests with a full table.

use dynoxide::ImportOptions;
use dynoxide::actions::import_items;
use dynoxide::types::Item;
use serde_json::Value;

use super::{Engine, EngineError, finish, operations};

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
    ) -> Result<usize, EngineError> {
        let failed = |source| EngineError::Failed { doing: "import items", source };
        let items: Vec<Item> =
            items.into_iter().map(operations::read).collect::<Result<_, _>>().map_err(failed)?;
        let table = table.to_owned();
        let options = ImportOptions { record_streams: recorded, ..ImportOptions::default() };
        let imported = self
            .run(move |engine| {
                finish(import_items::execute(&engine.state().storage, &table, items, &options))
            })
            .await
            .map_err(failed)?
            .items_imported;
        self.wrote();
        Ok(imported)
    }
}
