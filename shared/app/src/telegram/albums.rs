//! Albums: Telegram sends each file of an album as an update of its own. The first one becomes the message, and the others
//! join it while it waits.

use af_domain::attachment::{ALBUM_WAIT, Attachment, MAX_ALBUM_FILES, MAX_WAIT};
use af_domain::ids::{BotIdentity, MessageId};
use af_domain::message::{ALBUM_METADATA, MAX_PAYLOAD_BYTES, Message, Payload};
use af_store::conversation::Commit;
use af_store::message::payload_bytes;
use af_telegram::update::IncomingMessage;

use crate::settings::policies;
use crate::telegram::handled::{Change, Handled};
use crate::telegram::payload::is_of;
use crate::telegram::route::Target;
use crate::{App, AppError, Result};

/// The text of an album without a caption.
pub(super) const TEXT: &str = "[album]";

/// How often a file is joined again because the conversation has changed: all files of an album arrive and are fetched at
/// the same time.
const MAX_TRIES: usize = 24;

/// Returns the payload of an album whose first file is that of `message`.
pub(super) fn first(payload: &Payload, message: &IncomingMessage) -> Payload {
    let mut first = payload.clone();
    first.metadata.insert(ALBUM_METADATA.to_owned(), message.origin.message_id.to_string());
    if !message.is_written {
        // A group's text begins with the name of the author, which ends with a colon and a space.
        let author =
            if message.origin.is_private() { String::new() } else { format!("{}: ", message.author) };
        first.message_text = format!("{author}{TEXT}");
    }
    first
}

/// Adds the file of `message` to the message of its album. Returns `None` if there is no album that takes it: then the file
/// is a message of its own.
pub(super) async fn join(
    app: &App,
    bot: &BotIdentity,
    target: &Target,
    message: &IncomingMessage,
) -> Result<Option<Handled>> {
    let Some(album) = message.album.as_ref().filter(|_| message.edited_at.is_none()) else { return Ok(None) };
    let id = MessageId::parse(format!("tg:{bot}:album:{}:{album}", message.origin.chat_id))?;
    for _ in 0..MAX_TRIES {
        let now = app.now();
        let Some(first) = app.store.message(&id, now, true).await? else { return Ok(None) };
        if is_of(&first.payload, message) {
            return Ok(Some(Handled::Enqueued { message: id, duplicate: true }));
        }
        // The user of the chat may have changed between two files of the album.
        if first.conversation != target.conversation || first.payload.attachments.len() >= MAX_ALBUM_FILES {
            return Ok(None);
        }
        let Some(before) = app.store.conversation(&first.key, true).await? else { return Ok(None) };
        let payload = joined(&first, message);
        if payload_bytes(&payload) > MAX_PAYLOAD_BYTES {
            return Ok(None);
        }
        let is_pending = payload.attachments.iter().any(Attachment::is_pending);
        let until = first.enqueued_at + if is_pending { MAX_WAIT } else { ALBUM_WAIT };
        let policies = policies::for_agent(app, &first.agent).await?;
        let Some(after) = before.with_revised(&id, Some(until), now, &policies) else { return Ok(None) };
        let fetched_by = is_pending.then_some(bot);
        let revised = app.store.revise_if_waiting(&before, &after, &first, &payload, fetched_by, &policies);
        if let Commit::Done = revised.await? {
            return Ok(Some(Handled::Changed { message: id, by: Change::Album }));
        }
    }
    Err(AppError::Overtaken("joining an album"))
}

/// Returns the payload of the album with one more file.
fn joined(first: &Message, message: &IncomingMessage) -> Payload {
    let mut payload = first.payload.clone();
    payload.attachments.extend(message.attachment.clone());
    let ids = payload.metadata.entry(ALBUM_METADATA.to_owned()).or_default();
    *ids = format!("{ids},{}", message.origin.message_id);
    if message.is_written {
        let written = Some(payload.message_text).filter(|text| !text.ends_with(TEXT));
        payload.message_text =
            written.map_or_else(|| message.text.clone(), |text| format!("{text}\n\n{}", message.text));
    }
    payload
}
