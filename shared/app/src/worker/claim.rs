//! Claim: the next message, and nothing else.

use af_domain::ids::{ConversationId, WorkerId};
use af_store::conversation_key;

use super::claiming::{self, Wanted};
use super::poll::{Poll, as_owner, look, poll, still_here};
use crate::settings::policies;
use crate::worker::bundle::Job;
use crate::{App, AppError};

/// A message for `worker`, if there is one: of its own conversation, or of one that nobody owns. When it names a
/// conversation, of that one only. A message that it runs already is answered again. One that restores files only when
/// it boots becomes the owner of no conversation that has some.
///
/// # Errors
/// When the table cannot be read or written. A claim that is sent again is answered the same message.
pub async fn claim(
    app: &App,
    worker: &WorkerId,
    only: Option<&ConversationId>,
    restores_at_boot: bool,
) -> Result<Option<Job>, AppError> {
    let Some(only) = only else {
        let request = Poll { restores_at_boot, ..Poll::default() };
        return Ok(Box::pin(poll(app, worker, &request)).await?.job);
    };
    let policies = policies::in_force(app).await?;
    let wanted = Wanted { restores_at_boot, ..Wanted::by(worker, &policies) };
    let key = conversation_key(only);
    let found = look(app, worker, &key).await?;
    if let Some(owned) = found.filter(|c| c.owner.as_ref().is_some_and(|o| &o.worker == worker)) {
        return Ok(Box::pin(as_owner(app, &wanted, owned, false)).await?.job);
    }
    let claim = Box::pin(claiming::unowned(app, &wanted, &key)).await?;
    match &claim {
        // The claim was a sign of life, too.
        Some(_) => app.signs_of_life.put(worker.clone(), (), app.now()),
        None => {
            claiming::make_way(app, &wanted).await?;
            still_here(app, worker).await?;
        }
    }
    Ok(claim.map(|(job, _)| job))
}
