//! Reading the message of an operator call.

use af_domain::ids::MessageId;
use af_domain::message::Message;
use af_domain::refusal::Refusal;

use crate::{App, Result};

/// How often a decision is made again if concurrent calls change the conversation.
pub(super) const MAX_TRIES: usize = 5;

pub(super) async fn message(app: &App, id: &MessageId) -> Result<Message> {
    let found = app.store.message(id, app.now(), true).await?;
    found.ok_or_else(|| Refusal::not_found(format!("message {id}")).into())
}
