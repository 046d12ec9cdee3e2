//! Settling: what became of a message's attachments is written, and the message may be claimed.

use af_domain::attachment::Attachment;
use af_domain::message::Message;
use af_store::attachment::AttachmentsStored;

use crate::settings::policies;
use crate::{App, AppError};

/// Times that it is decided anew because others changed the conversation meanwhile: an album is a message for each of its
/// pictures, and they settle at the same time.
const MAX_TRIES: usize = 24;

/// Writes what became of the attachments of `message`, none of which is pending any more. Sent again, it changes
/// nothing.
///
/// # Errors
/// When the table cannot answer.
pub async fn settle(app: &App, message: &Message, attachments: &[Attachment]) -> Result<(), AppError> {
    let policies = policies::in_force(app).await?;
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
