//! The payload of a Telegram message.

use af_domain::message::{ALBUM_METADATA, PROVIDER_USER, Payload, TELEGRAM};
use af_telegram::update::IncomingMessage;

/// The metadata field with what was said in a group since the last message for the agent.
pub(super) const GROUP_CONTEXT: &str = "telegramGroupContext";

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
    let chat = message.origin.chat_id.to_string();
    let mut metadata = message.metadata.clone();
    metadata.insert(PROVIDER_USER.to_owned(), chat.clone());
    Payload {
        provider: TELEGRAM.to_owned(),
        provider_user_id: chat,
        message_text: message.text.clone(),
        external_message_id: Some(message.origin.message_id.to_string()),
        raw_update_json: message.raw.clone(),
        metadata,
        attachments: message.attachment.iter().cloned().collect(),
    }
}
