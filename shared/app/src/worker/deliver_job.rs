//! Delivery of a claimed message to its worker, with its bundle if the worker wants it.

use af_domain::conversation::{Claimed, Conversation};
use af_domain::message::Message;

use super::claim_request::{ClaimRequest, Wants};
use crate::conversations::repair::examine;
use crate::settings::{message_config, policies};
use crate::worker::bundle::{Bundle, Context, Job, bundle, context};
use crate::{App, AppError, Result};

/// A message for a worker.
pub(super) struct Delivered {
    pub job: Job,
    /// The message's bundle, if the worker wants it.
    pub bundle: Option<Bundle>,
}

/// What a worker needs besides the lease. It can be read while the claim is committed.
pub(super) struct Loaded {
    message: Option<Message>,
    context: Option<Context>,
}

/// Reads the data that is delivered with `claimed`.
pub(super) async fn load(app: &App, request: &ClaimRequest<'_>, claimed: &Claimed) -> Result<Loaded> {
    let context = async {
        let Wants::JobWithBundle { since } = request.wants else { return Ok(None) };
        let policies = policies::for_agent(app, &claimed.after.agent).await?;
        // On the heap: every path to a claim has room for this future.
        let context = Box::pin(context(app, &claimed.after.key, since.as_ref(), &policies));
        Ok::<_, AppError>(Some(context.await?))
    };
    let message = app.store.message(&claimed.lease.entry.message, app.now(), false);
    let (message, context) = tokio::join!(message, context);
    Ok(Loaded { message: message?, context: context? })
}

/// Delivers the message of a claim that was committed; `None` when the message does not exist.
pub(super) async fn deliver_job(
    app: &App,
    request: &ClaimRequest<'_>,
    claimed: Claimed,
    loaded: Loaded,
) -> Result<Option<Delivered>> {
    let message = match loaded.message {
        Some(message) if message.fetched_by.is_none() => Some(message),
        // The replica that answered did not have the message yet, or not the result of its attachments.
        _ => app.store.message(&claimed.lease.entry.message, app.now(), true).await?,
    };
    let Some(message) = message else {
        // The repair removes it from the queue. The next poll gets the message behind it.
        Box::pin(examine(app, &claimed.after.key, true, request.policies)).await?;
        return Ok(None);
    };
    let bundle = match loaded.context {
        Some(context) => Some(bundle(app, &message, context).await?),
        None => None,
    };
    let payload = message_config::in_force(app).await?.with_prompt(message.payload);
    let job = Job { lease: claimed.lease, conversation: claimed.after, payload };
    Ok(Some(Delivered { job, bundle }))
}

/// Delivers the message of a lease that the worker holds already once more.
pub(super) async fn redeliver(
    app: &App,
    request: &ClaimRequest<'_>,
    conversation: Conversation,
) -> Result<Option<Delivered>> {
    let Some(lease) = conversation.lease.clone() else { return Ok(None) };
    let claimed = Claimed { after: conversation, lease, becomes_owner: false };
    let loaded = load(app, request, &claimed).await?;
    deliver_job(app, request, claimed, loaded).await
}
