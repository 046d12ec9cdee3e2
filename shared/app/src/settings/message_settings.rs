//! The message config: settings that apply to every message given to a worker.
//!
//! It is part of the settings document, which every function reads anyway, so it costs no request.

use std::borrow::Cow;
use std::sync::Arc;

use af_domain::ledger::Prices;
use af_domain::message::{HistoryEntry, Payload, Role};
use af_domain::policy::Policies;
use af_domain::time::Millis;
use serde_json::Value;

use crate::settings::ingress_settings::IngressSettings;
use crate::settings::overrides::Overrides;

/// The group of the config in the policies document. No group of policies has this name.
pub(crate) const GROUP: &str = "message";

/// The names of its fields there.
pub(crate) const SYSTEM_PROMPT: &str = "systemPrompt";
pub(crate) const RETENTION: &str = "telegramAttachmentRetentionMs";

/// The message config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageConfig {
    /// The text that a worker receives below the text of every message, after a blank line. It is neither stored nor
    /// shown with the message.
    pub system_prompt: Option<String>,
    /// How long files that people send are kept. Without it, the policy `retention.attachmentMs` applies.
    pub telegram_attachment_retention: Option<Millis>,
}

/// The content of the policies document.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The policies in force.
    pub policies: Policies,
    /// The settings of every message.
    pub message: MessageConfig,
    /// The rules of Telegram's updates. They are shared, because the settings are copied for each call.
    pub ingress: Arc<IngressSettings>,
    /// The prices of models, shared for the same reason.
    pub prices: Arc<Prices>,
}

impl MessageConfig {
    /// Reads the stored config. A field that this version does not know was written by a newer version before a rollback.
    /// It stays stored and has no effect.
    pub(crate) fn of(stored: &Overrides) -> Self {
        let field = |name| stored.get(GROUP).and_then(|fields| fields.get(name));
        Self {
            system_prompt: field(SYSTEM_PROMPT).and_then(Value::as_str).map(str::to_owned),
            telegram_attachment_retention: field(RETENTION).and_then(Value::as_u64).map(Millis::new),
        }
    }

    /// Returns a payload as a worker receives it, with the prompt.
    pub(crate) fn with_prompt(&self, payload: Payload) -> Payload {
        match &self.system_prompt {
            Some(prompt) => {
                Payload { message_text: format!("{}\n\n{prompt}", payload.message_text), ..payload }
            }
            None => payload,
        }
    }

    /// Returns a worker's history entries without the prompt. Workers repeat the text as they received it, and append
    /// more parts below it, each after a blank line.
    pub(crate) fn without_prompt<'e>(&self, said: &'e [HistoryEntry]) -> Cow<'e, [HistoryEntry]> {
        let Some(prompt) = &self.system_prompt else { return Cow::Borrowed(said) };
        let appended = format!("\n\n{prompt}");
        let bare = |entry: &HistoryEntry| match without(&entry.content, &appended) {
            Some(content) if entry.role == Role::User => HistoryEntry { content, ..entry.clone() },
            _ => entry.clone(),
        };
        Cow::Owned(said.iter().map(bare).collect())
    }
}

/// Removes from `text` the first `part` that is followed by a blank line or by the end of the text.
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
    fn an_unknown_stored_field_does_not_hide_known_fields() {
        let stored = r#"{"message": {"systemPrompt": "Be kind.", "tone": {"warmth": 3}}}"#;
        let config = MessageConfig::of(&serde_json::from_str(stored).unwrap());
        assert_eq!(config.system_prompt.as_deref(), Some("Be kind."));
    }

    #[test]
    fn the_prompt_is_removed_wherever_a_worker_repeats_it() {
        let config = MessageConfig { system_prompt: Some("Be kind.".into()), ..MessageConfig::default() };
        let said = |role, content: &str| {
            let entry = HistoryEntry { role, content: content.into(), at: Timestamp::from_millis(0) };
            config.without_prompt(&[entry])[0].content.clone()
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
            assert_eq!(said(Role::Assistant, text), text, "only user messages contain the prompt");
        }
    }
}
