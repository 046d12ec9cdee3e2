//! Hydration of a message that its worker has claimed before.

use af_domain::conversation::{Conversation, Lease};
use af_domain::ids::{HistoryCursor, MessageId, WorkerId};

use crate::settings::message_config;
use crate::settings::policies;
use crate::worker::bundle::{Bundle, Job, bundle, context};
use crate::{App, AppError};

/// The message with its bundle; `None` unless `worker` holds its lease.
///
/// # Errors
/// When the table or a secret cannot be read.
pub async fn hydrate(
    app: &App,
    worker: &WorkerId,
    message: &MessageId,
    since: Option<&HistoryCursor>,
) -> Result<Option<(Job, Bundle)>, AppError> {
    let policies = policies::in_force(app).await?;
    let Some(message) = app.store.message(message, app.now(), true).await? else { return Ok(None) };
    let (conversation, context) = tokio::join!(
        app.store.conversation(&message.key, true),
        context(app, &message.key, since, &policies)
    );
    let Some(conversation) = conversation? else { return Ok(None) };
    let Some(lease) = held_by(&conversation, worker, &message.id) else { return Ok(None) };
    let (lease, bundle) = (lease.clone(), Box::pin(bundle(app, &message, context?)).await?);
    let payload = message_config::in_force(app).await?.with_prompt(message.payload);
    Ok(Some((Job { lease, conversation, payload }, bundle)))
}

/// The lease on `message`, if `worker` holds it.
pub(super) fn held_by<'a>(
    conversation: &'a Conversation,
    worker: &WorkerId,
    message: &MessageId,
) -> Option<&'a Lease> {
    conversation.lease.as_ref().filter(|l| &l.worker == worker && &l.entry.message == message)
}
