//! Hydration of a message that its worker has claimed before.

use af_domain::conversation::{Conversation, Lease};
use af_domain::ids::{HistoryCursor, MessageId, WorkerId};

use crate::documents::WorkspaceWanted;
use crate::outbox::addressee;
use crate::settings::message_config;
use crate::settings::policies;
use crate::worker::bundle::{Bundle, Job, bundle, context};
use crate::{App, Result};

/// A message and its bundle.
#[derive(Debug, Clone)]
pub struct Hydrated {
    /// The message.
    pub job: Job,
    /// Its bundle.
    pub bundle: Bundle,
}

/// The message with its bundle; `None` unless `worker` holds its lease.
pub async fn hydrate(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    since: Option<&HistoryCursor>,
    workspace: &WorkspaceWanted,
) -> Result<Option<Hydrated>> {
    let Some(message) = app.store.message(message, app.now(), true).await? else { return Ok(None) };
    let policies = policies::for_agent(app, &message.agent).await?;
    let (conversation, context, addressee) = tokio::join!(
        app.store.conversation(&message.key, true),
        Box::pin(context(app, (&message.agent, &message.key), since, workspace, &policies)),
        Box::pin(addressee(app, &message.conversation, &message.agent))
    );
    let addressee = addressee?;
    let Some(conversation) = conversation? else { return Ok(None) };
    let Some(lease) = held_by(&conversation, worker, &message.id) else { return Ok(None) };
    let lease = lease.clone();
    let bundle = Box::pin(bundle(app, &message, context?)).await?;
    let payload = match addressee {
        Some(addressee) => addressee.addressed(message.payload, &conversation.id),
        None => message.payload,
    };
    let payload = message_config::in_force(app).await?.with_prompt(payload);
    Ok(Some(Hydrated { job: Job { lease, conversation, payload }, bundle }))
}

/// The lease on `message`, if `worker` holds it.
pub(super) fn held_by<'a>(
    conversation: &'a Conversation,
    worker: &WorkerId,
    message: &MessageId,
) -> Option<&'a Lease> {
    conversation.lease.as_ref().filter(|l| &l.worker == worker && &l.entry.message == message)
}
