//! The DynamoDB table: keys, items and every conditional write.
//!
//! There is one table, and only this crate writes to it. A failed condition is a value (`Refused`, or an enum
//! of the operation), not an error. Every conditional write is safe to repeat: by its key, by a client token,
//! or because the returned old item shows that an earlier attempt of the same write succeeded.
//! `docs/data-model.md` describes the layout, the access patterns and the budgets.
//!
//! # Errors
//! Every method of [`Store`] returns an error if the table does not answer, or if an item that it reads is
//! malformed. After an error the write may have been carried out: the caller sends it again, or reads and
//! decides again. The documentation of a method names only further errors.

pub mod agent;
pub mod api_key;
pub mod attachment;
mod attempt;
mod batch;
pub mod binding;
pub mod config;
pub mod conversation;
pub mod counters;
pub mod document;
pub mod due_work;
mod error;
mod expression;
pub mod group;
pub mod idempotency;
mod item;
pub mod keys;
pub mod ledger;
pub mod managed_bot;
pub mod media;
pub mod message;
pub mod outbox;
pub mod pairing;
mod payload;
pub mod push;
pub mod reconcile_lease;
pub mod skill;
pub mod snapshot;
pub mod sweep;
mod table;
pub mod template;
pub mod upload;
pub mod worker;
mod write;

pub use error::{Result, StoreError};
pub use keys::conversation_key;
pub use table::{Jitter, Page, Store};
