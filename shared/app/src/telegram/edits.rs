//! Edits: a message that waits gets its new text. An edit of a message that ran already is a new message.

use std::collections::{BTreeMap, BTreeSet};

use af_domain::agent::Bot;
use af_domain::attachment::{Attachment, MAX_WAIT};
use af_domain::conversation::Conversation;
use af_domain::ids::MessageId;
use af_domain::message::{ALBUM_METADATA, MAX_PAYLOAD_BYTES, Message, Payload};
use af_domain::refusal::Code;
use af_store::conversation::Commit;
use af_store::conversation_key;
use af_store::message::payload_bytes;
use af_telegram::update::{EDIT_DATE, EDITED, FILE_UNIQUE_ID, IncomingMessage};

use crate::settings::policies;
use crate::telegram::handled::{Change, Handled};
use crate::telegram::payload::{GROUP_CONTEXT, is_of, payload};
use crate::telegram::route::Target;
use crate::{App, AppError, Result};

/// How many of the newest messages of a conversation are searched for the original, besides the ones that wait or run.
/// People edit what they have just written.
const NEWEST: i32 = 25;
/// How often the edit is decided again because the conversation has changed.
const MAX_TRIES: usize = 8;

/// Applies an edit. Returns `None` if it is a new message, because the original ran already or is unknown.
pub(super) async fn apply(
    app: &App,
    bot: &Bot,
    target: &Target,
    edit: &IncomingMessage,
) -> Result<Option<Handled>> {
    let key = conversation_key(&target.conversation);
    for _ in 0..MAX_TRIES {
        let now = app.now();
        let Some(before) = app.store.conversation(&key, true).await? else { return Ok(None) };
        let Some(original) = original(app, &before, edit).await? else { return Ok(None) };
        if date(&original.payload) > edit.edited_at {
            return Ok(Some(Handled::ignored("edit_overtaken")));
        }
        if is_equal(&original.payload, edit) {
            return Ok(Some(Handled::ignored("edit_without_change")));
        }
        let payload = edited(&original.payload, edit);
        if payload_bytes(&payload) > MAX_PAYLOAD_BYTES {
            return Ok(Some(Handled::ignored(Code::PayloadTooLarge.as_str())));
        }
        let is_pending = payload.attachments.iter().any(Attachment::is_pending);
        let has_new_files = payload.attachments != original.payload.attachments;
        let until = (is_pending && has_new_files).then(|| now + MAX_WAIT);
        let policies = policies::for_agent(app, &original.agent).await?;
        let Some(after) = before.with_revised(&original.id, until, now, &policies) else { return Ok(None) };
        let fetched_by = is_pending.then_some(&bot.identity);
        let revised =
            app.store.revise_if_waiting(&before, &after, &original, &payload, fetched_by, &policies);
        if let Commit::Done = revised.await? {
            return Ok(Some(Handled::Changed { message: original.id, by: Change::Edit }));
        }
    }
    Err(AppError::Overtaken("an edit"))
}

/// Returns the newest message that this Telegram message became: the original, or an earlier edit of it.
async fn original(app: &App, conversation: &Conversation, edit: &IncomingMessage) -> Result<Option<Message>> {
    let newest = app.store.message_ids_of(&conversation.key, NEWEST, None).await?.items;
    let waiting = conversation.queue.entries().iter().map(|entry| entry.message.clone());
    let running = conversation.lease.iter().map(|lease| lease.entry.message.clone());
    let ids: BTreeSet<MessageId> = newest.into_iter().chain(waiting).chain(running).collect();
    let ids: Vec<_> = ids.into_iter().filter(|id| id.as_str().starts_with("tg:")).collect();
    let mut found: Option<Message> = None;
    for message in app.store.messages_now(&ids, app.now()).await? {
        let is_older = found.as_ref().is_some_and(|found| found.enqueued_at > message.enqueued_at);
        if is_older {
            continue;
        }
        // Large payloads are items of their own.
        let whole = match message.payload.provider.is_empty() {
            true => app.store.message(&message.id, app.now(), true).await?,
            false => Some(message),
        };
        found = whole.filter(|whole| is_of(&whole.payload, edit)).or(found);
    }
    Ok(found)
}

fn date(payload: &Payload) -> Option<u64> {
    payload.metadata.get(EDIT_DATE)?.parse().ok()
}

/// Whether the edit has the text and the file of the message.
fn is_equal(before: &Payload, edit: &IncomingMessage) -> bool {
    let unique = |metadata: &BTreeMap<String, String>| metadata.get(FILE_UNIQUE_ID).cloned();
    let is_album = before.metadata.contains_key(ALBUM_METADATA);
    let same_text = if is_album {
        !edit.is_written || before.message_text.contains(&edit.text)
    } else {
        before.message_text == edit.text
    };
    let same_file = match &edit.attachment {
        Some(file) => {
            has_file(before, file)
                || unique(&before.metadata).is_some_and(|id| unique(&edit.metadata) == Some(id))
        }
        None => before.attachments.is_empty(),
    };
    same_text && same_file
}

fn has_file(payload: &Payload, file: &Attachment) -> bool {
    payload.attachments.iter().any(|known| known.telegram_file_id == file.telegram_file_id)
}

/// The place of the edited file in the album: its files have the order of its message ids.
fn file_in_album(album: &Payload, edit: &IncomingMessage) -> Option<usize> {
    let ids: Vec<&str> = album.metadata.get(ALBUM_METADATA)?.split(',').collect();
    let edited = edit.origin.message_id.to_string();
    let place = ids.iter().position(|id| *id == edited)?;
    (ids.len() == album.attachments.len()).then_some(place)
}

/// Returns the payload after the edit. A file that the message has already keeps its state.
fn edited(before: &Payload, edit: &IncomingMessage) -> Payload {
    let mut after = payload(edit);
    // The agent has not seen the message before, so it is no edit for the agent.
    after.metadata.remove(EDITED);
    if let Some(context) = before.metadata.get(GROUP_CONTEXT) {
        after.metadata.insert(GROUP_CONTEXT.to_owned(), context.clone());
    }
    if before.metadata.contains_key(ALBUM_METADATA) {
        // An edit concerns one file of the album.
        let message_text = if edit.is_written { after.message_text } else { before.message_text.clone() };
        let mut metadata = before.metadata.clone();
        metadata.extend(after.metadata.remove_entry(EDIT_DATE));
        let mut attachments = before.attachments.clone();
        if let Some((place, file)) = file_in_album(before, edit).zip(edit.attachment.clone())
            && !has_file(before, &file)
        {
            attachments[place] = file;
        }
        return Payload { message_text, metadata, attachments, ..before.clone() };
    }
    let is_known = edit.attachment.as_ref().is_some_and(|file| has_file(before, file));
    if is_known || edit.attachment.is_none() {
        after.attachments.clone_from(&before.attachments);
    }
    after
}
