//! Stores the results of fetching a message's attachments, and lets the message be claimed.

use af_domain::attachment::Attachment;
use af_domain::message::Message;
use af_store::attachment::AttachmentsStored;

use crate::settings::policies;
use crate::{App, AppError, Result};

/// How often the result is decided again because the conversation changed. Each picture of an album is a
/// message of its own, and all of them end at the same time.
const MAX_TRIES: usize = 24;

/// Stores the fetched or failed attachments of `message`, none of which is pending any more. A repetition
/// changes nothing.
pub async fn store_results(app: &App, message: &Message, attachments: &[Attachment]) -> Result<()> {
    let policies = policies::for_agent(app, &message.agent).await?;
    for _ in 0..MAX_TRIES {
        let before = app.store.conversation(&message.key, true).await?;
        let after =
            before.as_ref().and_then(|c| c.without_attachment_wait(&message.id, app.now(), &policies));
        let waiting = before.as_ref().zip(after.as_ref());
        let settled = app.store.store_attachments_if_pending(&message.id, attachments, waiting, &policies);
        match settled.await? {
            AttachmentsStored::Done | AttachmentsStored::NotPending => return Ok(()),
            AttachmentsStored::Stale => {}
        }
    }
    Err(AppError::Overtaken("settling attachments"))
}
