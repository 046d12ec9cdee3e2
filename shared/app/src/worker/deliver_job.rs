//! Delivery of a claimed message to its worker, with its bundle if the worker wants it.

use af_domain::conversation::{Claimed, Conversation};
use af_domain::message::Message;
use af_domain::refusal::Code;

use super::claim_request::{ClaimRequest, Wants};
use super::fail::{Retry, fail};
use crate::agents::profiles;
use crate::conversations::repair::examine;
use crate::outbox::{Addressee, addressee};
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
    addressee: Option<Addressee>,
}

/// Reads the data that is delivered with `claimed`.
pub(super) async fn load(app: &App, request: &ClaimRequest<'_>, claimed: &Claimed) -> Result<Loaded> {
    let context = async {
        let Wants::JobWithBundle { since, workspace } = request.wants else { return Ok(None) };
        let policies = policies::for_agent(app, &claimed.after.agent).await?;
        // On the heap: every path to a claim has room for this future.
        let of = (&claimed.after.agent, &claimed.after.key);
        let context = Box::pin(context(app, of, since.as_ref(), workspace, &policies));
        Ok::<_, AppError>(Some(context.await?))
    };
    let message = app.store.message(&claimed.lease.entry.message, app.now(), false);
    let addressee = Box::pin(addressee(app, &claimed.after.id, &claimed.after.agent));
    let (message, context, addressee) = tokio::join!(message, context, addressee);
    Ok(Loaded { message: message?, context: context?, addressee: addressee? })
}

/// Delivers the message of a claim that was committed; `None` when the message does not exist, or its agent must not answer
/// any more. Then it becomes a dead letter.
pub(super) async fn deliver_job(
    app: &App,
    request: &ClaimRequest<'_>,
    claimed: Claimed,
    loaded: Loaded,
) -> Result<Option<Delivered>> {
    let message = match loaded.message {
        Some(message) if message.fetched_by.is_none() && !claimed.lease.entry.revised => Some(message),
        // The replica that answered may not have the message yet, the result of its attachments, or its newest content.
        _ => app.store.message(&claimed.lease.entry.message, app.now(), true).await?,
    };
    let Some(message) = message else {
        // The repair removes it from the queue. The next poll gets the message behind it.
        Box::pin(examine(app, &claimed.after.key, true, request.policies)).await?;
        return Ok(None);
    };
    if let Some(reason) = Box::pin(refusal(app, &claimed.after, loaded.addressee.as_ref())).await? {
        let ended = fail(app, request.worker, &message.id, &claimed.lease.id, reason.as_str(), Retry::Never);
        match Box::pin(ended).await {
            // Another call has ended the lease meanwhile.
            Err(AppError::Refused(refusal)) if refusal.code == Code::StaleLease => {}
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        return Ok(None);
    }
    let bundle = match loaded.context {
        Some(context) => Some(bundle(app, &message, context).await?),
        None => None,
    };
    let payload = match loaded.addressee {
        Some(addressee) => addressee.addressed(message.payload, &claimed.after.id),
        None => message.payload,
    };
    let payload = message_config::in_force(app).await?.with_prompt(payload);
    let job = Job { lease: claimed.lease, conversation: claimed.after, payload };
    Ok(Some(Delivered { job, bundle }))
}

/// Why the agent of a claimed conversation must not answer any more: it is deleted, or its user is bound to another one.
async fn refusal(
    app: &App,
    conversation: &Conversation,
    addressee: Option<&Addressee>,
) -> Result<Option<String>> {
    let agent = &conversation.agent;
    // A cached profile may be older than the agent.
    if profiles::known(app, agent).await?.is_none() && profiles::now(app, agent).await?.is_none() {
        return Ok(Some(format!("agent {agent} is deleted")));
    }
    Ok(addressee.and_then(|addressee| addressee.refusal(conversation)))
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
