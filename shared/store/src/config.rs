//! Configuration documents: JSON texts stored by name.

use crate::expression::Update;
use crate::item::{Reader, Writer};
use crate::write::{Commit, Updated};
use crate::{Result, Store, keys};

impl Store {
    /// Returns the document `name`. A read for a change is `consistent`.
    pub async fn config(&self, name: &str, consistent: bool) -> Result<Option<String>> {
        let item = self.get(keys::config(name), consistent).await?;
        item.as_ref().map(|i| Reader::of(i).text("js").map(str::to_owned)).transpose()
    }

    /// Writes the document `name`.
    pub async fn put_config(&self, name: &str, json: &str) -> Result<()> {
        self.put(Writer::at(keys::config(name)).put("js", json).build()).await
    }

    /// Replaces the document `name`, on condition that it is still `before`; `None` means that there was no
    /// document. A repeated change finds its own text and returns `Done`.
    pub async fn change_config_if_unchanged(
        &self,
        name: &str,
        before: Option<&str>,
        json: &str,
    ) -> Result<Commit> {
        let update = Update::of(keys::config(name)).set("js", json);
        let update = match before {
            Some(before) => update.when_is("js", before),
            None => update.when("attribute_not_exists(#js)"),
        };
        match self.update(update).await? {
            Updated::Done(_) => Ok(Commit::Done),
            Updated::Refused(old) => {
                let found = old.as_ref().map(|old| Reader::of(old).text("js")).transpose()?;
                Ok(if found == Some(json) { Commit::Done } else { Commit::Stale })
            }
        }
    }
}
