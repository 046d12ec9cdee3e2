//! The payload of a Telegram message.

use af_domain::message::{ALBUM_METADATA, Payload, TELEGRAM};
use af_telegram::update::IncomingMessage;

/// Whether a payload belongs to the Telegram message of `message`, perhaps in an earlier form.
pub(super) fn is_of(payload: &Payload, message: &IncomingMessage) -> bool {
    let id = message.origin.message_id.to_string();
    let in_album =
        || payload.metadata.get(ALBUM_METADATA).is_some_and(|ids| ids.split(',').any(|one| one == id));
    payload.provider == TELEGRAM
        && payload.provider_user_id == message.origin.chat_id.to_string()
        && (payload.external_message_id.as_ref() == Some(&id) || in_album())
}

/// Returns the payload of a message.
pub(super) fn payload(message: &IncomingMessage) -> Payload {
    Payload {
        provider: TELEGRAM.to_owned(),
        provider_user_id: message.origin.chat_id.to_string(),
        message_text: message.text.clone(),
        external_message_id: Some(message.origin.message_id.to_string()),
        raw_update_json: message.raw.clone(),
        metadata: message.metadata.clone(),
        attachments: message.attachment.iter().cloned().collect(),
    }
}
