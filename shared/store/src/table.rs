//! The table: the client that all reads and writes go through.

use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;

use crate::error::Result;
use crate::keys;

/// Returns a random number in `0.0..1.0`.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T, Cursor> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Cursor>,
}

/// The table.
#[derive(Clone)]
pub struct Store {
    pub(crate) client: Client,
    pub(crate) table: String,
    pub(crate) jitter: Jitter,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Store {
    /// Creates a store for the table named `table`. `jitter` randomises the backoff after write conflicts.
    pub fn new(client: Client, table: impl Into<String>, jitter: Jitter) -> Self {
        Self { client, table: table.into(), jitter }
    }

    /// Checks that the table answers, with one eventually consistent read of a key that may not exist.
    pub async fn ping(&self) -> Result<()> {
        self.get(keys::config("policies"), false).await.map(drop)
    }
}
