//! Recover: ends a lease without its holder, so that its message is tried again.

use af_domain::conversation::RecoverCause;
use af_domain::ids::{ConversationKey, WorkerId};
use af_domain::policy::Policies;
use af_runtime::metric::Metric;
use af_store::conversation::FailOutcome;

use super::repair;
use crate::outbox::apology;
use crate::pool::outcome::Outcome;
use crate::{App, Result};

/// Ends the lease of `holder` on a conversation, if `cut` allows that now.
pub(crate) async fn recover(
    app: &App,
    key: &ConversationKey,
    holder: &WorkerId,
    cut: RecoverCause,
    policies: &Policies,
) -> Result<Outcome> {
    let now = app.now();
    let Some(conversation) = app.store.conversation(key, true).await? else { return Ok(Outcome::Stale) };
    if conversation.lease.as_ref().is_some_and(|l| &l.worker != holder) {
        return Ok(Outcome::Stale);
    }
    let Some(back) = conversation.recover(cut, app.entropy.unit(), now, policies) else {
        return Ok(Outcome::Stale);
    };
    tracing::warn!(conversation = %conversation.id, message = %back.entry.message, error = %back.error, "lease recovered");
    let notice = apology(app, &conversation, &back).await?;
    match app.store.fail_if_unchanged(&conversation, &back, true, now, policies, notice.as_ref()).await? {
        FailOutcome::Done => {
            Metric::LeaseExpired.count();
            Ok(Outcome::Done)
        }
        FailOutcome::Stale => Ok(Outcome::Stale),
        FailOutcome::MessageMissing => repair::repair(app, key, policies).await,
    }
}
