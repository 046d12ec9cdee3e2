//! The operator's view of the queue: counters, lists, cancel, retry, and the reason why a message waits.

pub mod backlog;
mod cancel;
pub mod counters;
mod list;
pub mod payload_ttl;
mod retry;
mod retry_all;
mod stats;
mod why;

pub use cancel::{Cancelled, cancel, cancel_of_user};
pub use list::{dead_letters, of_conversation};
pub use retry::retry;
pub use retry_all::{RetriedAll, Which, retry_all};
pub use stats::{Stats, stats};
pub use why::{WaitsFor, Why, why};

use af_domain::ids::MessageId;
use af_domain::message::Message;
use af_domain::refusal::Refusal;

use crate::{App, AppError};

/// How often a decision is made again if concurrent calls change the conversation.
const MAX_TRIES: usize = 5;

async fn message(app: &App, id: &MessageId) -> Result<Message, AppError> {
    let found = app.store.message(id, app.now(), true).await?;
    found.ok_or_else(|| Refusal::not_found(format!("message {id}")).into())
}
