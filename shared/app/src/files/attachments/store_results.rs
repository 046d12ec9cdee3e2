//! Stores the results of fetching a message's attachments, and lets the message be claimed.

use af_domain::attachment::{ALBUM_WAIT, Attachment};
use af_domain::message::{ALBUM_METADATA, Message};
use af_store::attachment::{AttachmentResults, AttachmentsStored};

use crate::outbox::missing_file;
use crate::settings::policies;
use crate::{App, AppError, Result};

/// How often the result is decided again because the conversation changed. Other messages of the conversation may end and
/// arrive at the same time.
const MAX_TRIES: usize = 24;

/// Stores the fetched or failed attachments of `message`, none of which is pending any more. The person gets a notice about
/// the first ones that have failed. A repetition changes nothing. Attachments that were added meanwhile are left for the
/// next call.
pub async fn store_results(app: &App, message: &Message, attachments: &[Attachment]) -> Result<()> {
    store_unless_changed(app, message, attachments).await.map(drop)
}

/// Stores the results, as [`store_results`]. Returns `false` if the attachments of the message have changed since it was
/// read. Nothing is written then.
pub(super) async fn store_unless_changed(
    app: &App,
    message: &Message,
    attachments: &[Attachment],
) -> Result<bool> {
    let policies = policies::for_agent(app, &message.agent).await?;
    // An album waits for its other pictures, also when the first ones are fetched.
    let is_album = message.payload.metadata.contains_key(ALBUM_METADATA);
    let until = is_album.then(|| message.enqueued_at + ALBUM_WAIT);
    let pending = &message.payload.attachments;
    let notice = missing_file(app, message, attachments).await?;
    for _ in 0..MAX_TRIES {
        let before = app.store.conversation(&message.key, true).await?;
        let after =
            before.as_ref().and_then(|c| c.without_attachment_wait(&message.id, until, app.now(), &policies));
        let waiting = before.as_ref().zip(after.as_ref());
        let results = AttachmentResults { before: pending, after: attachments, notice: notice.as_ref() };
        let settled = app.store.store_attachments_if_pending(&message.id, &results, waiting, &policies);
        match settled.await? {
            AttachmentsStored::Done | AttachmentsStored::NotPending => return Ok(true),
            AttachmentsStored::Changed => return Ok(false),
            AttachmentsStored::Stale => {}
        }
    }
    Err(AppError::Overtaken("settling attachments"))
}
