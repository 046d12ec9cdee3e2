//! sendMessageDraft, sendRichMessageDraft: the preview of a message that is being written.
//!
//! A draft is shown in a private chat for half a minute, or until the bot sends a message there. A call with the same
//! `draft_id` changes it. Drafts are in memory only.

use serde_json::Value;

use super::Inner;
use super::answer::{ApiError, Success};
use super::params::Params;
use super::records::DraftRecord;
use super::sending::{MAX_TEXT_CHARS, visible};

/// How long a draft is shown after its last change, in milliseconds.
const SHOWN_MS: u64 = 30_000;
/// The longest text of a rich message, in characters.
const MAX_RICH_CHARS: usize = 32_768;
/// The text that is shown for an empty draft.
const PLACEHOLDER: &str = "Thinking…";

/// Shows a text. Without one, the placeholder is shown.
pub(super) fn text(inner: &Inner, bot: i64, params: &Params) -> Result<Success, ApiError> {
    let text = params.text("text").unwrap_or_default();
    let visible = visible(params, &text)?;
    if visible.chars().count() > MAX_TEXT_CHARS {
        return Err(ApiError::bad_request("message is too long"));
    }
    show(inner, bot, params, if visible.is_empty() { PLACEHOLDER.to_owned() } else { text })
}

/// Shows a rich message. Its markup is not checked, and its blocks are kept as JSON.
pub(super) fn rich(inner: &Inner, bot: i64, params: &Params) -> Result<Success, ApiError> {
    let message = params.json("rich_message").filter(Value::is_object);
    let message = message.ok_or_else(|| ApiError::bad_request("can't parse rich message"))?;
    let mut contents = ["html", "markdown", "blocks"].iter().filter_map(|form| message.get(*form));
    let text = match (contents.next(), contents.next()) {
        (Some(Value::String(text)), None) => text.clone(),
        (Some(blocks @ Value::Array(_)), None) => blocks.to_string(),
        _ => return Err(ApiError::bad_request("exactly one of html, markdown and blocks must be used")),
    };
    if text.chars().count() > MAX_RICH_CHARS {
        return Err(ApiError::bad_request("message is too long"));
    }
    show(inner, bot, params, text)
}

fn show(inner: &Inner, bot: i64, params: &Params, text: String) -> Result<Success, ApiError> {
    let chat_id = params.chat_id()?;
    if chat_id < 0 {
        return Err(ApiError::bad_request("TEXTDRAFT_PEER_INVALID"));
    }
    let draft_id = params.integer("draft_id").filter(|id| *id != 0);
    let draft_id = draft_id.ok_or_else(|| ApiError::bad_request("invalid draft_id specified"))?;
    let at = inner.clock.now().as_millis();
    inner.lock().state.note_draft(DraftRecord {
        bot_identity: bot.to_string(),
        chat_id,
        draft_id,
        text,
        message_thread_id: params.integer("message_thread_id").filter(|thread| *thread != 0),
        can_stop: params.flag("can_stop"),
        keep_on_stop: params.flag("keep_on_stop"),
        changes: 1,
        at,
        shown_until: at + SHOWN_MS,
    });
    Ok(Value::Bool(true).into())
}
