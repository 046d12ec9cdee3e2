//! The queue as an operator sees and mends it: counts without scanning, lists, cancel, retry, and what a message waits
//! for.

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

/// Times a decision is made anew when others change the conversation meanwhile.
const MAX_TRIES: usize = 5;

async fn message(app: &App, id: &MessageId) -> Result<Message, AppError> {
    let found = app.store.message(id, app.now(), true).await?;
    found.ok_or_else(|| Refusal::not_found(format!("message {id}")).into())
}
