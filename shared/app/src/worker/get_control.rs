//! Control: a worker's control state, without a claim.

use af_domain::ids::{ConversationId, WorkerId};

use super::claim_request::Wants;
use super::poll::{Poll, Polled, poll};
use crate::{App, Result};

/// The control state of `worker`, as a poll without a message. With the conversation that the worker believes it owns, this takes one request.
pub async fn control(app: &App, worker: &WorkerId, conversation: Option<&ConversationId>) -> Result<Polled> {
    let request = Poll { conversation: conversation.cloned(), wants: Wants::ControlOnly, ..Poll::default() };
    Box::pin(poll(app, worker, &request)).await
}
