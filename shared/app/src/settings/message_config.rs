//! Reads and writes the message config.

use af_domain::media::MAX_KEPT;
use af_domain::refusal::Refusal;
use af_domain::time::Millis;

use crate::settings::message_settings::GROUP;
pub use crate::settings::message_settings::MessageConfig;
use crate::settings::{document, policies};
use crate::{App, AppError};

/// The longest prompt. Every worker receives it with every message.
const MAX_SYSTEM_PROMPT_CHARS: usize = 8_000;
/// The shortest retention of files. All retries of a message fit into it.
const MIN_RETENTION: Millis = Millis::from_secs(60 * 60);

/// Returns the config in force.
///
/// # Errors
/// Returns an error if the config cannot be read.
pub async fn in_force(app: &App) -> Result<MessageConfig, AppError> {
    Ok(policies::settings(app).await?.message)
}

/// Returns the stored config.
///
/// # Errors
/// Returns an error if the config cannot be read.
pub async fn show(app: &App) -> Result<MessageConfig, AppError> {
    Ok(MessageConfig::of(&document::stored(app).await?))
}

/// Replaces the whole config; omitted fields are removed. Blanks around the prompt are trimmed: a worker that
/// trims its input would repeat a text from which the prompt could not be removed.
///
/// Returns 422 with the invalid field. Nothing is written then.
/// 422 naming the field at fault; nothing is written then.
pub async fn set(app: &App, config: &MessageConfig) -> Result<(), AppError> {
    let system_prompt = config.system_prompt.as_ref().map(|prompt| prompt.trim().to_owned());
    let config = MessageConfig { system_prompt, ..config.clone() };
    if let Some(prompt) = &config.system_prompt {
        let fits = prompt.chars().count() <= MAX_SYSTEM_PROMPT_CHARS && !prompt.is_empty();
        if !fits {
            let detail = format!(
                "systemPrompt must be 1 to {MAX_SYSTEM_PROMPT_CHARS} characters and not blank; leave it out for none"
            );
            return Err(Refusal::field("/systemPrompt", detail).into());
        }
    }
    let (min, max) = (MIN_RETENTION.as_millis(), MAX_KEPT.as_millis());
    if config.telegram_attachment_retention_ms.is_some_and(|ms| !(min..=max).contains(&ms)) {
        let detail = format!("telegramAttachmentRetentionMs must be a whole number from {min} to {max}");
        return Err(Refusal::field("/telegramAttachmentRetentionMs", detail).into());
    }
    let value = serde_json::to_value(&config)
        .map_err(|source| AppError::Unreadable { what: "the message config", source })?;
    let fields = value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
    document::change(app, |mut stored| {
        stored.insert(GROUP.to_owned(), fields.clone().collect());
        Ok((stored, ()))
    })
    .await
}
