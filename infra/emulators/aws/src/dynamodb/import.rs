//! Storing many items at once, as a test does that asks what a full table changes.

use dynoxide::ImportOptions;
use dynoxide::actions::import_items;
use dynoxide::types::Item;
use serde_json::Value;

use super::{Engine, EngineError, finish, operations};

impl Engine {
    /// Puts `items` into `table` in one transaction, each given as in a `PutItem` request, whatever stands in their
    /// places: all or none. This is what as many `PutItem`s leave behind, in a tenth of the time. They are in the
    /// table's stream only when they are to be `recorded`.
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
