//! The notice for a person whose message goes on without a file.

use af_domain::attachment::{Attachment, AttachmentState};
use af_domain::message::{Message, MessageStatus};
use af_domain::notice::NoticeKind;
use af_store::outbox::NewEntry;

use super::notice::{notice, text_of};
use super::reply::{Destination, destination};
use crate::settings::ingress_config;
use crate::{App, Result};

/// The notice about files of `message` that were not fetched, as `results` says; `None` if all were fetched, the message had a
/// failed file before, it is cancelled, or its reply would not go to Telegram. It is written in the transaction that stores
/// the results.
pub(crate) async fn missing_file(
    app: &App,
    message: &Message,
    results: &[Attachment],
) -> Result<Option<NewEntry>> {
    let has_failed =
        |files: &[Attachment]| files.iter().any(|file| matches!(file.state, AttachmentState::Failed { .. }));
    let is_first = has_failed(results) && !has_failed(&message.payload.attachments);
    if !is_first || message.status == MessageStatus::Cancelled {
        return Ok(None);
    }
    let rules = ingress_config::for_agent(app, &message.agent).await?;
    let text = text_of(app, &rules.texts, NoticeKind::MissingFile, &message.agent).await?;
    let Some(text) = text else { return Ok(None) };
    let to = destination(app, message).await?;
    Ok(to.map(|Destination { chat, user, topic }| notice(app, chat, topic, user, &text)))
}
