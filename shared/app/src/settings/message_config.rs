//! Reads and writes the message config.

use std::collections::BTreeMap;

use af_domain::media::MAX_KEPT;
use af_domain::refusal::Refusal;
use af_domain::time::Millis;
use serde_json::Value;

pub use crate::settings::message_settings::MessageConfig;
use crate::settings::message_settings::{GROUP, RETENTION, SYSTEM_PROMPT};
use crate::settings::{document, policies};
use crate::{App, Result};

/// The longest prompt. Every worker receives it with every message.
const MAX_SYSTEM_PROMPT_CHARS: usize = 8_000;
/// The shortest retention of files. All retries of a message fit into it.
const MIN_RETENTION: Millis = Millis::from_secs(60 * 60);

/// Returns the config in force.
pub async fn in_force(app: &App) -> Result<MessageConfig> {
    Ok(policies::settings(app).await?.message)
}

/// Returns the stored config.
pub async fn show(app: &App) -> Result<MessageConfig> {
    Ok(MessageConfig::of(&document::stored(app).await?))
}

/// Replaces the whole config; omitted fields are removed. Blanks around the prompt are trimmed: a worker that trims
/// its input would repeat a text from which the prompt could not be removed. Returns 422 with the invalid field.
/// Nothing is written then.
pub async fn set(app: &App, config: MessageConfig) -> Result<()> {
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
    document::change(app, |mut stored| {
        stored.insert(GROUP.to_owned(), fields.clone());
        Ok((stored, ()))
    })
    .await
}
