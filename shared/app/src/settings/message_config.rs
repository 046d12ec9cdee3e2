//! Message config: what every message is handed to its worker with.
//!
//! It stands in the document of the policies, which every function reads anyway, so that it costs no request.

use std::borrow::Cow;
use std::collections::BTreeMap;

use af_domain::media::MAX_KEPT;
use af_domain::message::{HistoryEntry, Payload, Role};
use af_domain::refusal::Refusal;
use af_domain::time::Millis;
use serde_json::Value;

use crate::settings::policies::{self, Overrides};
use crate::{App, AppError};

/// Where in the document it stands; no group of policies has this name.
pub(crate) const GROUP: &str = "message";
/// The names of its fields there.
const SYSTEM_PROMPT: &str = "systemPrompt";
const RETENTION: &str = "telegramAttachmentRetentionMs";
/// The longest prompt: every worker is handed it with every message.
const MAX_SYSTEM_PROMPT_CHARS: usize = 8_000;
/// The shortest time that files are kept: what retries of a message take, one after the other.
const MIN_RETENTION: Millis = Millis::from_secs(60 * 60);

/// The message config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageConfig {
    /// A text that stands below the text of every message, after a blank line, when a worker gets it. It is neither
    /// stored nor shown with the message.
    pub system_prompt: Option<String>,
    /// How long files that people send are kept. Without it, the policy `retention.attachmentMs` applies.
    pub telegram_attachment_retention: Option<Millis>,
}

/// The config in force.
///
/// # Errors
/// When it cannot be read.
pub async fn in_force(app: &App) -> Result<MessageConfig, AppError> {
    Ok(policies::settings(app).await?.message)
}

/// The config as it is stored now.
///
/// # Errors
/// When it cannot be read.
pub async fn show(app: &App) -> Result<MessageConfig, AppError> {
    Ok(MessageConfig::of(&policies::stored(app).await?))
}

/// Sets the whole config; what is left out is none from now on. Blanks around the prompt go: workers that trim what they
/// are handed would repeat a text from which it could not be taken off.
///
/// # Errors
/// 422 naming the field at fault; nothing is written then.
pub async fn set(app: &App, config: MessageConfig) -> Result<(), AppError> {
    let system_prompt = config.system_prompt.map(|prompt| prompt.trim().to_owned());
    if let Some(prompt) = &system_prompt {
        let fits = prompt.chars().count() <= MAX_SYSTEM_PROMPT_CHARS && !prompt.is_empty();
        if !fits {
            let detail = format!(
                "systemPrompt must be 1 to {MAX_SYSTEM_PROMPT_CHARS} characters and not blank; leave it out for none"
            );
            return Err(Refusal::field("/systemPrompt", detail).into());
        }
    }
    let retention = config.telegram_attachment_retention;
    if retention.is_some_and(|kept| !(MIN_RETENTION..=MAX_KEPT).contains(&kept)) {
        let (min, max) = (MIN_RETENTION.as_millis(), MAX_KEPT.as_millis());
        let detail = format!("telegramAttachmentRetentionMs must be a whole number from {min} to {max}");
        return Err(Refusal::field("/telegramAttachmentRetentionMs", detail).into());
    }
    let prompt = system_prompt.map(|prompt| (SYSTEM_PROMPT.to_owned(), Value::from(prompt)));
    let retention = retention.map(|kept| (RETENTION.to_owned(), Value::from(kept.as_millis())));
    let fields: BTreeMap<String, Value> = prompt.into_iter().chain(retention).collect();
    policies::change(app, |mut stored| {
        stored.insert(GROUP.to_owned(), fields.clone());
        Ok((stored, ()))
    })
    .await
}

impl MessageConfig {
    /// What is stored. A field that this version does not know is a later one's, which was rolled back: it stays stored
    /// and has no effect, so that it stops nobody.
    pub(crate) fn of(stored: &Overrides) -> Self {
        let field = |name| stored.get(GROUP).and_then(|fields| fields.get(name));
        Self {
            system_prompt: field(SYSTEM_PROMPT).and_then(Value::as_str).map(str::to_owned),
            telegram_attachment_retention: field(RETENTION).and_then(Value::as_u64).map(Millis::new),
        }
    }

    /// A payload as a worker is handed it.
    pub(crate) fn put_on(&self, payload: Payload) -> Payload {
        match &self.system_prompt {
            Some(prompt) => {
                Payload { message_text: format!("{}\n\n{prompt}", payload.message_text), ..payload }
            }
            None => payload,
        }
    }

    /// What a worker says of a message, without what it was handed with: workers repeat the text as they have it, and put
    /// more below it, each part after a blank line.
    pub(crate) fn take_off<'e>(&self, said: &'e [HistoryEntry]) -> Cow<'e, [HistoryEntry]> {
        let Some(prompt) = &self.system_prompt else { return Cow::Borrowed(said) };
        let put_on = format!("\n\n{prompt}");
        let bare = |entry: &HistoryEntry| match without(&entry.content, &put_on) {
            Some(content) if entry.role == Role::User => HistoryEntry { content, ..entry.clone() },
            _ => entry.clone(),
        };
        Cow::Owned(said.iter().map(bare).collect())
    }
}

/// `text` without its first `part` that ends where the text does, or a part of it.
fn without(text: &str, part: &str) -> Option<String> {
    let is_whole = |at: &usize| {
        let rest = &text[at + part.len()..];
        rest.is_empty() || rest.starts_with("\n\n")
    };
    let at = text.match_indices(part).map(|(at, _)| at).find(is_whole)?;
    Some(format!("{}{}", &text[..at], &text[at + part.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use af_domain::time::Timestamp;

    #[test]
    fn a_field_of_a_later_version_hides_none_of_ours() {
        let stored = r#"{"message": {"systemPrompt": "Be kind.", "tone": {"warmth": 3}}}"#;
        let config = MessageConfig::of(&serde_json::from_str(stored).unwrap());
        assert_eq!(config.system_prompt.as_deref(), Some("Be kind."));
    }

    #[test]
    fn the_prompt_is_taken_off_wherever_a_worker_has_left_it() {
        let config = MessageConfig { system_prompt: Some("Be kind.".into()), ..MessageConfig::default() };
        let said = |role, content: &str| {
            let entry = HistoryEntry { role, content: content.into(), at: Timestamp::from_millis(0) };
            config.take_off(&[entry])[0].content.clone()
        };
        for (text, left) in [
            ("hi\n\nBe kind.", "hi"),
            ("\n\nBe kind.", ""),
            (
                "hi\n\nBe kind.\n\n[telegram_media]\n- photo: https://x",
                "hi\n\n[telegram_media]\n- photo: https://x",
            ),
            ("Be kind.", "Be kind."),
            ("hi\n\nBe kind. Or not.", "hi\n\nBe kind. Or not."),
            ("hi\n\nBe kind. Or not.\n\nBe kind.", "hi\n\nBe kind. Or not."),
        ] {
            assert_eq!(said(Role::User, text), left);
            assert_eq!(said(Role::Assistant, text), text, "only what a person said came with it");
        }
    }
}
