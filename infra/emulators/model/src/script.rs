//! The script: the answers to the next requests.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// How much of a message a reply repeats, in characters.
const MAX_REPEATED_CHARS: usize = 200;
/// The beginning of messages that agents add for the model and that no person has written.
const MACHINE_TEXT: &str = "<<<";

/// An answer of the script.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScriptedAnswer {
    /// The text that a message of the request must contain; `None` for any request. Agents send requests of their own
    /// beside those of a person.
    #[serde(default)]
    pub asked: Option<String>,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Answer {
    /// A reply. It begins after `delay_ms` milliseconds.
    Text {
        /// The reply.
        text: String,
        /// How long the model thinks, in milliseconds.
        #[serde(default)]
        delay_ms: u64,
    },
    /// A refusal or a failure.
    Status {
        /// The HTTP status, such as 429 or 500.
        status: u16,
        /// The value of `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_s: Option<u64>,
        /// The message of the error.
        #[serde(default)]
        message: String,
    },
    /// No answer: the connection stays open.
    Hang,
    /// A stream that breaks after the text.
    BrokenStream {
        /// The text before the end of the connection.
        text: String,
    },
}

impl Answer {
    /// A reply without a delay.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), delay_ms: 0 }
    }

    /// How long to wait before the answer begins.
    pub(crate) fn delay(&self) -> Duration {
        match self {
            Self::Text { delay_ms, .. } => Duration::from_millis(*delay_ms),
            Self::Status { .. } | Self::Hang | Self::BrokenStream { .. } => Duration::ZERO,
        }
    }
}

/// The answers that are left.
#[derive(Default)]
pub struct Script(VecDeque<ScriptedAnswer>);

impl Script {
    pub fn add(&mut self, answer: ScriptedAnswer) {
        self.0.push_back(answer);
    }

    /// The answer to `request`: the first one of the script that fits, or a reply that repeats the last message.
    pub fn take(&mut self, request: &Value) -> Answer {
        let fits = |scripted: &ScriptedAnswer| {
            scripted.asked.as_ref().is_none_or(|asked| texts(request).any(|text| text.contains(asked)))
        };
        let scripted = self.0.iter().position(fits).and_then(|at| self.0.remove(at));
        scripted.map_or_else(|| repeated(request), |scripted| scripted.answer)
    }
}

/// A reply that repeats the last line of the last message of a person.
fn repeated(request: &Value) -> Answer {
    let said = texts(request).filter(|text| !text.starts_with(MACHINE_TEXT)).last().unwrap_or_default();
    let line: String =
        said.lines().next_back().unwrap_or_default().chars().take(MAX_REPEATED_CHARS).collect();
    Answer::text(format!("model: {line}"))
}

/// The texts of the user messages, the oldest first. The content of a message is a text, or a list of parts.
fn texts(request: &Value) -> impl Iterator<Item = String> {
    let messages = request["messages"].as_array().map_or(&[][..], Vec::as_slice);
    messages.iter().filter(|message| message["role"] == "user").map(|message| match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    })
}
