//! Control: a worker's control state, without a claim.

use af_domain::ids::{ConversationId, WorkerId};
use af_domain::time::Millis;

use super::claim_request::Wants;
use super::control::Control;
use super::poll::{Poll, poll};
use crate::{App, AppError};

/// The answer to a worker that asks for its control state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlAnswer {
    /// The control state.
    pub control: Control,
    /// How long the worker waits before it asks again.
    pub next_poll: Millis,
}

/// The control state of `worker`. With the conversation that the worker believes it owns, this takes one request.
///
/// # Errors
/// When the table cannot be read or written.
pub async fn control(
    app: &App,
    worker: &WorkerId,
    conversation: Option<&ConversationId>,
) -> Result<ControlAnswer, AppError> {
    let request = Poll { conversation: conversation.cloned(), wants: Wants::ControlOnly, ..Poll::default() };
    let polled = Box::pin(poll(app, worker, &request)).await?;
    Ok(ControlAnswer { control: polled.control, next_poll: polled.next_poll })
}
