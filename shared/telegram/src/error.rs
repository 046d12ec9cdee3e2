//! Why a call to the Bot API did not do what was asked.

use af_domain::time::Millis;
use serde::Deserialize;

/// Wait that we take when Telegram answers 429 and names none (a proxy in between may drop it).
const RETRY_AFTER_DEFAULT: Millis = Millis::new(1_000);
/// Longest description kept from an answer; more is of no use to a reader.
const MAX_DESCRIPTION_CHARS: usize = 300;

/// Why a Bot API call failed. No variant ever holds the token or the URL that it is part of.
#[derive(Debug, thiserror::Error)]
pub enum TelegramError {
    /// The token is malformed, unknown or revoked.
    #[error("Telegram refused the bot token")]
    Unauthorized,
    /// The bot may not write there: the user blocked it, or it was removed from the group.
    #[error("Telegram forbade it: {description}")]
    Forbidden {
        /// Telegram's own words.
        description: String,
    },
    /// Too many requests. Nothing was done.
    #[error("Telegram asks to wait {retry_after}")]
    RateLimited {
        /// How long to wait before the next call.
        retry_after: Millis,
    },
    /// The group became a supergroup, which has another id. Nothing was done.
    #[error("the chat moved to {to}")]
    ChatMigrated {
        /// The chat's new id.
        to: i64,
    },
    /// Two consumers of one bot's updates: a webhook and `getUpdates`, or two pollers.
    #[error("Telegram sees a conflict: {description}")]
    Conflict {
        /// Telegram's own words.
        description: String,
    },
    /// The request can never succeed as it is.
    #[error("Telegram refused the request: {description}")]
    BadRequest {
        /// Telegram's own words.
        description: String,
    },
    /// A file is larger than was to be downloaded.
    #[error("the file is larger than {max_bytes} bytes")]
    TooLarge {
        /// How large it may be.
        max_bytes: usize,
    },
    /// The server (or a proxy before it) failed. It may or may not have done what was asked.
    #[error("Telegram is unavailable (HTTP {status})")]
    Unavailable {
        /// The HTTP status of the answer.
        status: u16,
    },
    /// No connection came about, so nothing was done.
    #[error("Telegram cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The request went out and no whole answer came back in time. It may have been done.
    #[error("Telegram did not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// An answer came that is not the Bot API's. The request may have been done.
    #[error("the answer is not in the form of the Bot API")]
    Unreadable,
}

impl TelegramError {
    /// Whether Telegram may have done what was asked although the call failed. Sending again may then show
    /// the user the same message twice; a caller that must not must record the message as sent.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NoAnswer(_) | Self::Unreadable)
    }

    /// Whether the same call can succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        self.may_have_happened() || matches!(self, Self::RateLimited { .. } | Self::Unreachable(_))
    }

    /// Sorts a transport failure. reqwest's errors carry the URL, and the URL carries the token: it is cut off
    /// here, before anybody can print it.
    pub(crate) fn transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            Self::Unreachable(error)
        } else {
            Self::NoAnswer(error)
        }
    }
}

/// The failure half of every Bot API answer.
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
    /// The error that this answer means, given the HTTP status it came with and the token to keep out of it.
    pub(crate) fn into_error(self, status: u16, token: &str) -> TelegramError {
        let code = self.error_code.unwrap_or(status);
        let description = safe_description(self.description.unwrap_or_default(), token);
        if let Some(to) = self.parameters.migrate_to_chat_id {
            return TelegramError::ChatMigrated { to };
        }
        match code {
            401 => TelegramError::Unauthorized,
            // Telegram answers a token that is not of a token's form with a bare "Not Found".
            404 if description.is_empty() || description == "Not Found" => TelegramError::Unauthorized,
            403 => TelegramError::Forbidden { description },
            409 => TelegramError::Conflict { description },
            429 => TelegramError::RateLimited {
                retry_after: self.parameters.retry_after.map_or(RETRY_AFTER_DEFAULT, Millis::from_secs),
            },
            400..=499 => TelegramError::BadRequest { description },
            500..=599 => TelegramError::Unavailable { status: code },
            _ => TelegramError::Unreadable,
        }
    }
}

/// What a server says may end up in logs and answers: a self-hosted one might echo the request's path.
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
    fn answers_become_typed_errors() {
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
    fn a_description_that_echoes_the_token_loses_it() {
        let echoed = error(400, r#"{"error_code":400,"description":"no route /bot1:secret/getMe"}"#);
        assert_eq!(echoed.to_string(), "Telegram refused the request: no route /bot<token>/getMe");
        assert!(!format!("{echoed:?}").contains("1:secret"));
    }

    #[test]
    fn a_description_is_kept_short() {
        let long = format!(r#"{{"error_code":400,"description":"{}"}}"#, "ü".repeat(5_000));
        assert!(error(400, &long).to_string().chars().count() < 400);
    }

    #[test]
    fn only_what_telegram_may_have_done_counts_as_possibly_done() {
        assert!(TelegramError::Unavailable { status: 502 }.may_have_happened());
        assert!(!TelegramError::RateLimited { retry_after: Millis::new(1) }.may_have_happened());
        assert!(TelegramError::RateLimited { retry_after: Millis::new(1) }.is_transient());
        assert!(!TelegramError::Unauthorized.is_transient());
    }
}
