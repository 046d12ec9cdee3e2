//! Claim: the next message, and nothing else.

use af_domain::ids::{ConversationId, WorkerId};
use af_store::conversation_key;

use super::claim_next::{FreeClaim, claim_unowned, drain_if_skipped};
use super::claim_request::{ClaimRequest, Wants};
use super::poll::{Poll, poll, poll_as_owner};
use super::signs_of_life::{note_sign_of_life, read_or_touch_owned, touch_worker};
use crate::settings::policies;
use crate::worker::bundle::Job;
use crate::{App, Result};

/// A message for `worker`, if there is one: of its own conversation, or of one without an owner. When the worker
/// names a conversation, of that one only. A message that it runs already is delivered again. A worker that restores
/// files only when it boots does not become the owner of a conversation that has files. A claim that is sent again is
/// answered the same message.
pub async fn claim(
    app: &App,
    worker: &WorkerId,
    only: Option<&ConversationId>,
    restores_at_boot: bool,
) -> Result<Option<Job>> {
    let Some(only) = only else {
        let request = Poll { restores_at_boot, ..Poll::default() };
        return Ok(Box::pin(poll(app, worker, &request)).await?.job);
    };
    let policies = policies::in_force(app).await?;
    let request = ClaimRequest { worker, wants: &Wants::Job, policies: &policies, restores_at_boot };
    let key = conversation_key(only);
    if let Some(owned) = read_or_touch_owned(app, worker, &key).await? {
        return Ok(Box::pin(poll_as_owner(app, &request, owned)).await?.job);
    }
    let claim = Box::pin(claim_unowned(app, &request, &key)).await?;
    drain_if_skipped(app, &request, &claim).await?;
    match claim {
        FreeClaim::Claimed(delivered) => {
            // The claim was a sign of life, too.
            note_sign_of_life(app, worker);
            Ok(Some(delivered.job))
        }
        FreeClaim::Nothing | FreeClaim::Skipped => {
            touch_worker(app, worker).await?;
            Ok(None)
        }
    }
}
