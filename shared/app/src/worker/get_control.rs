//! Control: a worker's control state, without a claim.

use af_domain::ids::{ConversationId, WorkerId};
use af_domain::time::Millis;

use super::claim_request::Wants;
use super::control::Control;
use super::poll::{Poll, Polled, poll};
use crate::{App, AppError};

/// A worker's control state, and when it asks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlState {
    /// The control state.
    pub control: Control,
    /// How long the worker waits before it asks again.
    pub next_poll: Millis,
}

impl From<Polled> for ControlState {
    fn from(polled: Polled) -> Self {
        Self { control: polled.control, next_poll: polled.next_poll }
    }
}

/// The control state of `worker`. With the conversation that the worker believes it owns, this takes one request.
pub async fn control(
    app: &App,
    worker: &WorkerId,
    conversation: Option<&ConversationId>,
) -> Result<ControlState, AppError> {
    let request = Poll { conversation: conversation.cloned(), wants: Wants::ControlOnly, ..Poll::default() };
    let polled = Box::pin(poll(app, worker, &request)).await?;
    Ok(polled.into())
}
