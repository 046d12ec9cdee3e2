//! The DynamoDB table: keys, items and every conditional write.
//!
//! One table, written to by nothing else. A condition that fails is a value (`Refused`, or an enum of the
//! operation), not an error; an error means that the store could not answer. Every conditional write is safe to
//! send twice: by its key, by a client token, or because the returned old item shows that it is our own.
//! Layout, access patterns and budgets: `docs/data-model.md`.

pub mod agent;
pub mod api_key;
pub mod attachment;
mod attempt;
pub mod binding;
pub mod config;
pub mod conversation;
pub mod counters;
pub mod due;
mod error;
mod expression;
mod item;
pub mod keys;
pub mod media;
pub mod message;
pub mod once;
mod payload;
pub mod reconcile_lease;
pub mod skill;
pub mod snapshot;
pub mod upload;
pub mod worker;
mod write;

pub use error::StoreError;
pub use keys::conversation_key;

use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;

/// Gives a number in `0.0..1.0`, each time another.
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
    /// The table named `table`, reached through `client`; `jitter` keeps writers that collided from colliding again.
    pub fn new(client: Client, table: impl Into<String>, jitter: Jitter) -> Self {
        Self { client, table: table.into(), jitter }
    }

    /// Whether the table answers: one eventually consistent read of a key that need not exist.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.get(keys::config("policies"), false).await.map(drop)
    }
}
