//! The DynamoDB table: keys, items and every conditional write.
//!
//! There is one table, and only this crate writes to it. A failed condition is a value (`Refused`, or an enum
//! of the operation), not an error. An error means that the table did not answer. Every conditional write is
//! safe to repeat: by its key, by a client token, or because the returned old item shows that an earlier
//! attempt of the same write succeeded. `docs/data-model.md` describes the layout, the access patterns and
//! the budgets.

pub mod agent;
pub mod api_key;
pub mod attachment;
mod attempt;
mod batch;
pub mod binding;
pub mod config;
pub mod conversation;
pub mod counters;
mod error;
mod expression;
pub mod idempotency;
mod item;
pub mod keys;
pub mod media;
pub mod message;
mod payload;
pub mod reconcile_lease;
pub mod skill;
pub mod snapshot;
pub mod sweep;
pub mod upload;
pub mod worker;
mod write;

pub use error::StoreError;
pub use keys::conversation_key;

use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;

/// Returns a random number in `0.0..1.0`.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The table.
#[derive(Clone)]
pub struct Store {
    client: Client,
    table: String,
    jitter: Jitter,
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
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.get(keys::config("policies"), false).await.map(drop)
    }
}
