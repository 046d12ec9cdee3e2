//! The answer of a chat completions API, streamed or whole, and whether it holds a reply.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::contract::MAX_REPLY_BYTES;

/// How much of an error's text is repeated, in characters.
const MAX_ERROR_CHARS: usize = 300;
/// Most tokens that are believed, far more than a model reads. The deployment refuses implausible counts.
const MAX_TOKENS: u64 = 1_000_000_000;

/// A part of a streamed answer, or a whole answer. The two differ in the name of one field.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Completion {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    pub error: Option<ErrorBody>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    #[serde(alias = "delta")]
    message: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Value>,
    function_call: Option<Value>,
    // Servers have two names for the text that a model writes before its answer.
    reasoning: Option<Value>,
    reasoning_content: Option<Value>,
}

/// What went wrong. Most servers answer an object, and some only a text.
#[derive(Default)]
pub struct ErrorBody {
    pub message: String,
    /// Text from most servers, a number from some.
    pub code: Option<Value>,
}

impl<'de> Deserialize<'de> for ErrorBody {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let body = Value::deserialize(from)?;
        let message = body.as_str().or_else(|| body["message"].as_str()).unwrap_or_default().to_owned();
        Ok(Self { message, code: body.get("code").cloned() })
    }
}

/// Why an answer holds no reply.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// The server sent an error with status 200, or within the stream.
    #[error("the model failed in its answer: {0}")]
    Error(String),
    /// The answer is longer than a reply may be.
    #[error("the reply is longer than {MAX_REPLY_BYTES} bytes")]
    TooLong,
    /// The answer has reached the model's limit of tokens.
    #[error("the model's answer was cut off at its limit of tokens (finish_reason length)")]
    CutOff,
    /// A filter of the server removed the answer, or a part of it.
    #[error("the model's answer was withheld by a content filter (finish_reason content_filter)")]
    Filtered,
    /// The model waits for tools, which no request offers.
    #[error("the model answered with tool calls only, and this engine has no tools")]
    ToolCalls,
    /// The model has thought, and said nothing.
    #[error("the model answered with its reasoning only")]
    ReasoningOnly,
    /// There is no text.
    #[error("the model's answer is empty")]
    Empty,
}

/// The tokens of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    /// Input tokens that the server had in its cache.
    pub cached_input: Option<u64>,
}

impl Tokens {
    /// The field `usage` of an answer. `None` when it is malformed: a reply is worth more than its count.
    fn read(usage: &Value) -> Option<Self> {
        let input = usage["prompt_tokens"].as_u64()?.min(MAX_TOKENS);
        Some(Self {
            input,
            output: usage["completion_tokens"].as_u64()?.min(MAX_TOKENS),
            cached_input: usage["prompt_tokens_details"]["cached_tokens"]
                .as_u64()
                .filter(|cached| *cached <= input),
        })
    }
}

/// An answer, as far as it has been received.
#[derive(Default)]
pub struct Answer {
    pub text: String,
    pub finish_reason: Option<String>,
    /// The latest count of tokens: a stream has it in its last event, or a growing one in each event.
    pub tokens: Option<Tokens>,
    refusal: String,
    has_tool_calls: bool,
    has_reasoning: bool,
}

impl Answer {
    /// Adds a part, or the whole answer.
    pub fn add(&mut self, part: Completion) -> Result<(), NoReply> {
        self.tokens = part.usage.as_ref().and_then(Tokens::read).or(self.tokens);
        if let Some(error) = part.error {
            return Err(NoReply::Error(error.message.chars().take(MAX_ERROR_CHARS).collect()));
        }
        let Some(choice) = part.choices.into_iter().flatten().next() else { return Ok(()) };
        let said = choice.message.unwrap_or_default();
        self.text.push_str(&said.content.unwrap_or_default());
        self.refusal.push_str(&said.refusal.unwrap_or_default());
        self.has_tool_calls |= said.tool_calls.or(said.function_call).is_some_and(|calls| !is_blank(&calls));
        self.has_reasoning |= said.reasoning.or(said.reasoning_content).is_some_and(|text| !is_blank(&text));
        self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
        if self.text.len() + self.refusal.len() > MAX_REPLY_BYTES { Err(NoReply::TooLong) } else { Ok(()) }
    }

    /// The reply of the complete answer. A refusal is a reply, because it is what the model says to the user.
    pub fn reply(self) -> Result<String, NoReply> {
        if !self.refusal.trim().is_empty() {
            return Ok(self.refusal);
        }
        match self.finish_reason.as_deref() {
            Some("length" | "max_tokens") => Err(NoReply::CutOff),
            Some("content_filter") => Err(NoReply::Filtered),
            Some("error") => Err(NoReply::Error("it gave no reason".to_owned())),
            Some("tool_calls" | "function_call") => Err(NoReply::ToolCalls),
            _ if !self.text.trim().is_empty() => Ok(self.text),
            _ if self.has_tool_calls => Err(NoReply::ToolCalls),
            _ if self.has_reasoning => Err(NoReply::ReasoningOnly),
            _ => Err(NoReply::Empty),
        }
    }
}

/// Whether a value says nothing: null, or an empty text or list.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}
