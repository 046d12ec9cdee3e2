//! Control: what a worker is told about itself, and nothing else.

use af_domain::ids::{ConversationId, WorkerId};
use af_domain::time::Millis;

use super::Control;
use super::poll::{Poll, poll};
use crate::{App, AppError};

/// What a worker is told about itself, and how long it may wait before it asks again. With the conversation that it
/// believes it is assigned to, this takes one request.
///
/// # Errors
/// When the table cannot be read or written.
pub async fn control(
    app: &App,
    worker: &WorkerId,
    conversation: Option<&ConversationId>,
) -> Result<(Control, Millis), AppError> {
    let request = Poll { conversation: conversation.cloned(), busy: true, ..Poll::default() };
    let polled = Box::pin(poll(app, worker, &request)).await?;
    Ok((polled.control, polled.next_poll))
}
