//! sendMessage, sendAudio, sendDocument, sendChatAction.

use serde_json::{Value, json};

use super::answer::{ApiError, Success};
use super::params::{Params, as_integer};
use super::records::{ChatActionRecord, Event, OutboxMessage, SentKind};
use super::{Inner, html};

/// Longest text, in characters after entity parsing.
pub(super) const MAX_TEXT_CHARS: usize = 4_096;
/// Longest caption, in characters after entity parsing.
const MAX_CAPTION_CHARS: usize = 1_024;
/// The length of a generated file id, which is about that of real ones.
const FILE_ID_CHARS: usize = 60;
/// Supergroups and channels have ids below this.
const MAX_SUPERGROUP_ID: i64 = -1_000_000_000_000;

pub(super) fn message(inner: &Inner, bot: i64, params: &Params) -> Result<Success, ApiError> {
    let chat_id = params.chat_id()?;
    let text = params.text("text").unwrap_or_default();
    let visible = visible(params, &text)?;
    if visible.is_empty() {
        return Err(ApiError::bad_request("message text is empty"));
    }
    if visible.chars().count() > MAX_TEXT_CHARS {
        return Err(ApiError::bad_request("message is too long"));
    }
    let draft = Draft { chat_id, kind: SentKind::Text, text, file: None };
    send(inner, bot, params, draft, json!({"text": visible}))
}

/// Sends a file, which the parameter `field` names.
pub(super) fn file(
    inner: &Inner,
    bot: i64,
    params: &Params,
    kind: SentKind,
    field: &str,
) -> Result<Success, ApiError> {
    let chat_id = params.chat_id()?;
    // The file is an upload, or the id or URL of an existing file.
    let upload = params.file(field).cloned();
    if upload.is_none() && params.text(field).is_none_or(|text| text.is_empty()) {
        return Err(ApiError::bad_request(format!("there is no {field} in the request")));
    }
    if upload.as_ref().is_some_and(|file| file.size_bytes == 0) {
        return Err(ApiError::bad_request("file must be non-empty"));
    }
    let text = params.text("caption").unwrap_or_default();
    let caption = visible(params, &text)?;
    if caption.chars().count() > MAX_CAPTION_CHARS {
        return Err(ApiError::bad_request("message caption is too long"));
    }
    let mut shown =
        json!({"file_id": inner.random_text(FILE_ID_CHARS), "file_unique_id": inner.random_text(15)});
    let file = upload.map(|file| {
        shown["file_name"] = file.name.as_str().into();
        shown["file_size"] = file.size_bytes.into();
        (file.name, file.size_bytes)
    });
    let mut content = json!({ field: shown });
    if !caption.is_empty() {
        content["caption"] = caption.into();
    }
    send(inner, bot, params, Draft { chat_id, kind, text, file }, content)
}

pub(super) fn chat_action(inner: &Inner, bot: i64, params: &Params) -> Result<Success, ApiError> {
    let chat_id = params.chat_id()?;
    let action = params.text("action").unwrap_or_default().to_ascii_lowercase();
    let is_known = match action.split_once('_') {
        None => action == "typing",
        Some(("upload", what)) => matches!(what, "photo" | "video" | "voice" | "document" | "video_note"),
        Some(("record", what)) => matches!(what, "video" | "voice" | "video_note"),
        Some(_) => matches!(action.as_str(), "choose_sticker" | "find_location"),
    };
    if !is_known {
        return Err(ApiError::bad_request("wrong parameter action in request"));
    }
    let at = inner.clock.now().as_millis();
    inner.lock().state.note_chat_action(ChatActionRecord {
        bot_identity: bot.to_string(),
        chat_id,
        action,
        at,
    });
    Ok(Value::Bool(true).into())
}

/// A checked message before it is sent.
struct Draft {
    chat_id: i64,
    kind: SentKind,
    text: String,
    file: Option<(String, u64)>,
}

/// Writes the message to the journal and returns it in the form of Telegram, merged with `content`.
fn send(inner: &Inner, bot: i64, params: &Params, draft: Draft, content: Value) -> Result<Success, ApiError> {
    let now = inner.clock.now();
    let user = inner.user(bot);
    let chat_id = draft.chat_id;
    let thread = params.integer("message_thread_id").filter(|thread| *thread != 0);
    let mut core = inner.lock();
    let last = core.state.last_message_id(bot, chat_id);
    let reply_to = reply_to(params, last)?;
    let message_id = last.saturating_add(1);
    let (file_name, size_bytes) = draft.file.unzip();
    core.commit(vec![Event::Sent(OutboxMessage {
        message_id,
        bot_identity: bot.to_string(),
        chat_id,
        kind: draft.kind,
        text: draft.text,
        parse_mode: params.text("parse_mode").filter(|mode| !mode.is_empty()),
        reply_to_message_id: reply_to,
        message_thread_id: thread,
        file_name,
        size_bytes,
        at: now.as_millis(),
    })])?;
    drop(core);
    let mut message = json!({
        "message_id": message_id, "from": user, "date": now.as_secs(),
        "chat": {"id": chat_id, "type": chat_type(chat_id)},
    });
    if let Some(thread) = thread {
        message["message_thread_id"] = thread.into();
    }
    if let Value::Object(fields) = content {
        for (name, value) in fields {
            message[name.as_str()] = value;
        }
    }
    Ok(message.into())
}

/// The visible text: parsed by its mode, without white space at its ends.
pub(super) fn visible(params: &Params, text: &str) -> Result<String, ApiError> {
    let mode = params.text("parse_mode").unwrap_or_default();
    let parsed = match mode.to_ascii_lowercase().as_str() {
        "html" => html::visible(text)
            .map_err(|why| ApiError::bad_request(format!("can't parse entities: {why}")))?,
        // The rules of Markdown are not checked, because no code of this project sends Markdown.
        "" | "markdown" | "markdownv2" => text.to_owned(),
        _ => return Err(ApiError::bad_request("unsupported parse_mode")),
    };
    Ok(parsed.trim().to_owned())
}

/// The message to which the new one replies, if it exists.
fn reply_to(params: &Params, last_message_id: i64) -> Result<Option<i64>, ApiError> {
    let reply = params.json("reply_parameters");
    let id = reply.as_ref().and_then(|reply| as_integer(&reply["message_id"]));
    let Some(id) = id.or_else(|| params.integer("reply_to_message_id")).filter(|id| *id != 0) else {
        return Ok(None);
    };
    if (1..=last_message_id).contains(&id) {
        return Ok(Some(id));
    }
    let lenient = reply.is_some_and(|reply| reply["allow_sending_without_reply"] == Value::Bool(true));
    if lenient || params.flag("allow_sending_without_reply") {
        Ok(None)
    } else {
        Err(ApiError::bad_request("message to be replied not found"))
    }
}

/// The type of a chat, derived from its id.
pub(super) fn chat_type(chat_id: i64) -> &'static str {
    match chat_id {
        1.. => "private",
        id if id <= MAX_SUPERGROUP_ID => "supergroup",
        _ => "group",
    }
}

impl Inner {
    /// A bot as a Telegram user.
    pub(super) fn user(&self, bot: i64) -> Value {
        let username = self.lock().state.bot(bot).map(|bot| bot.username.clone()).unwrap_or_default();
        json!({"id": bot, "is_bot": true, "first_name": username, "username": username})
    }
}
