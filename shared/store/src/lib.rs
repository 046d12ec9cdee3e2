//! The DynamoDB table: keys, items and every conditional write.
//!
//! One table, written to by nothing else. A condition that fails is a value (`Refused`, or an enum of the
//! operation), not an error; an error means that the store could not answer. Every conditional write is safe to
//! send twice: by its key, by a client token, or because the returned old item shows that it is our own.
//! Layout, access patterns and budgets: `docs/data-model.md`.

pub mod agent;
pub mod api_key;
pub mod binding;
pub mod config;
pub mod conversation;
pub mod counters;
mod error;
mod expression;
mod item;
pub mod keys;
pub mod message;
mod payload;
pub mod reconcile_lease;
pub mod snapshot;
pub mod worker;
mod write;

pub use error::StoreError;
pub use keys::conversation_key;

use aws_sdk_dynamodb::Client;

/// The table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
}

impl Store {
    /// The table named `table`, reached through `client`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Whether the table answers: one eventually consistent read of a key that need not exist.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.get(keys::config("policies"), false).await.map(drop)
    }
}
