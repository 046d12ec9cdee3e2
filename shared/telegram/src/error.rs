//! Errors of Bot API calls.

use af_domain::time::Millis;
use serde::Deserialize;

/// The wait after a 429 that names none. (A proxy may drop it.)
const DEFAULT_RETRY_AFTER: Millis = Millis::new(1_000);
/// Longest stored description of an error response.
const MAX_DESCRIPTION_CHARS: usize = 300;

/// The reason why a Bot API call failed. No variant contains the token or the URL with the token.
#[derive(Debug, thiserror::Error)]
pub enum TelegramError {
    /// The token is malformed, unknown or revoked.
    #[error("Telegram refused the bot token")]
    Unauthorized,
    /// The bot may not write to the chat: the user blocked it, or it was removed from the group.
    #[error("Telegram forbids the call: {description}")]
    Forbidden {
        /// The description from Telegram.
        description: String,
    },
    /// Too many requests. The call had no effect.
    #[error("Telegram asks to wait {retry_after}")]
    RateLimited {
        /// How long to wait before the next call.
        retry_after: Millis,
    },
    /// The group became a supergroup, which has another id. The call had no effect.
    #[error("the chat moved to {to}")]
    ChatMigrated {
        /// The new chat id.
        to: i64,
    },
    /// The bot's updates have two consumers: a webhook and `getUpdates`, or two pollers.
    #[error("Telegram reports a conflict: {description}")]
    Conflict {
        /// The description from Telegram.
        description: String,
    },
    /// The request is invalid and cannot succeed.
    #[error("Telegram refused the request: {description}")]
    BadRequest {
        /// The description from Telegram.
        description: String,
    },
    /// A file is larger than the limit of the download.
    #[error("the file is larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// The server (or a proxy before it) failed. The call may have been carried out.
    #[error("Telegram is unavailable (HTTP {status})")]
    Unavailable {
        /// The HTTP status of the response.
        status: u16,
    },
    /// No connection was established, so the call had no effect.
    #[error("Telegram cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The request was sent, but no complete response arrived in time. The call may have been carried out.
    #[error("Telegram did not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The response does not come from the Bot API. The call may have been carried out.
    #[error("the response is not a Bot API response")]
    Unreadable,
}

impl TelegramError {
    /// Whether Telegram may have carried out the call although it failed. Sending again may then show the
    /// message twice. A caller that must avoid duplicates records the message as sent.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NoAnswer(_) | Self::Unreadable)
    }

    /// Whether the same call can succeed later without any change.
    pub fn is_transient(&self) -> bool {
        self.may_have_happened() || matches!(self, Self::RateLimited { .. } | Self::Unreachable(_))
    }

    /// Converts a transport error. Errors of reqwest contain the URL with the token; the URL is removed here,
    /// before the error can be printed.
    pub(crate) fn transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            Self::Unreachable(error)
        } else {
            Self::NoAnswer(error)
        }
    }
}

/// Whether the same text would be accepted without markup: the markup cannot be parsed, or no text is left
/// after parsing. Telegram has no error code for either, only these messages.
pub fn is_markup_problem(description: &str) -> bool {
    contains_any(description, &["can't parse entities", "message text is empty", "text must be non-empty"])
}

/// Whether the same text would be accepted in the chat itself: its forum topic was closed or deleted.
pub fn is_topic_problem(description: &str) -> bool {
    contains_any(
        description,
        &["message thread not found", "topic_closed", "topic_deleted", "topic_id_invalid"],
    )
}

fn contains_any(description: &str, words: &[&str]) -> bool {
    let description = description.to_ascii_lowercase();
    words.iter().any(|words| description.contains(words))
}

/// The failure fields of a Bot API response.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Refusal {
    #[serde(default)]
    error_code: Option<u16>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

impl Refusal {
    /// Converts the response to an error. `status` is its HTTP status, and `token` is removed from the
    /// description.
    pub(crate) fn into_error(self, status: u16, token: &str) -> TelegramError {
        let code = self.error_code.unwrap_or(status);
        let description = safe_description(self.description.unwrap_or_default(), token);
        if let Some(to) = self.parameters.migrate_to_chat_id {
            return TelegramError::ChatMigrated { to };
        }
        match code {
            401 => TelegramError::Unauthorized,
            // Telegram answers a malformed token with a bare "Not Found".
            404 if description.is_empty() || description == "Not Found" => TelegramError::Unauthorized,
            403 => TelegramError::Forbidden { description },
            409 => TelegramError::Conflict { description },
            429 => TelegramError::RateLimited {
                retry_after: self.parameters.retry_after.map_or(DEFAULT_RETRY_AFTER, Millis::from_secs),
            },
            400..=499 => TelegramError::BadRequest { description },
            500..=599 => TelegramError::Unavailable { status: code },
            _ => TelegramError::Unreadable,
        }
    }
}

/// Removes the token from a description, which may appear in logs and responses: a self-hosted server might
/// echo the request's path.
fn safe_description(description: String, token: &str) -> String {
    let clean = if token.is_empty() { description } else { description.replace(token, "<token>") };
    match clean.char_indices().nth(MAX_DESCRIPTION_CHARS) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, json: &str) -> TelegramError {
        serde_json::from_str::<Refusal>(json).unwrap().into_error(status, "1:secret")
    }

    #[test]
    fn responses_become_typed_errors() {
        let limited = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":7}}"#;
        assert!(
            matches!(error(429, limited), TelegramError::RateLimited { retry_after } if retry_after == Millis::new(7_000))
        );
        let bare = r#"{"ok":false,"error_code":429}"#;
        assert!(
            matches!(error(429, bare), TelegramError::RateLimited { retry_after } if retry_after == Millis::new(1_000))
        );
        let moved = r#"{"ok":false,"error_code":400,"description":"x","parameters":{"migrate_to_chat_id":-1001234567890}}"#;
        assert!(matches!(error(400, moved), TelegramError::ChatMigrated { to: -1_001_234_567_890 }));
        assert!(matches!(error(401, r#"{"ok":false,"error_code":401}"#), TelegramError::Unauthorized));
        assert!(matches!(
            error(404, r#"{"error_code":404,"description":"Not Found"}"#),
            TelegramError::Unauthorized
        ));
        let method = r#"{"error_code":404,"description":"Not Found: method not found"}"#;
        assert!(matches!(error(404, method), TelegramError::BadRequest { .. }));
        assert!(matches!(error(403, r#"{"error_code":403}"#), TelegramError::Forbidden { .. }));
        assert!(matches!(error(409, r#"{"error_code":409}"#), TelegramError::Conflict { .. }));
        assert!(matches!(error(502, "{}"), TelegramError::Unavailable { status: 502 }));
        assert!(matches!(error(302, "{}"), TelegramError::Unreadable));
    }

    #[test]
    fn the_token_is_removed_from_a_description() {
        let echoed = error(400, r#"{"error_code":400,"description":"no route /bot1:secret/getMe"}"#);
        assert_eq!(echoed.to_string(), "Telegram refused the request: no route /bot<token>/getMe");
        assert!(!format!("{echoed:?}").contains("1:secret"));
    }

    #[test]
    fn a_long_description_is_truncated() {
        let long = format!(r#"{{"error_code":400,"description":"{}"}}"#, "ü".repeat(5_000));
        assert!(error(400, &long).to_string().chars().count() < 400);
    }

    #[test]
    fn only_an_unknown_result_may_have_happened() {
        assert!(TelegramError::Unavailable { status: 502 }.may_have_happened());
        assert!(!TelegramError::RateLimited { retry_after: Millis::new(1) }.may_have_happened());
        assert!(TelegramError::RateLimited { retry_after: Millis::new(1) }.is_transient());
        assert!(!TelegramError::Unauthorized.is_transient());
    }
}
