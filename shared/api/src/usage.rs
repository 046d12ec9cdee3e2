//! Usage: what runs have used of language models.

use af_domain::usage::Usage;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an attempt, or all attempts of a message, have used of a language model.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsageBody {
    /// The model, such as gpt-5-mini; of several attempts, that of the last one.
    pub model: Option<String>,
    /// The company or server that runs the model.
    pub provider: Option<String>,
    /// Tokens that the model has read, with cached ones.
    pub input_tokens: u64,
    /// Tokens that the model has written.
    pub output_tokens: u64,
    /// Input tokens that the model's server had in its cache.
    pub cached_input_tokens: Option<u64>,
    /// The cost in millionths of the currency; left out when it is unknown.
    pub cost_micros: Option<u64>,
    /// Requests to the model.
    pub turns: Option<u64>,
    /// Calls of tools.
    pub tool_calls: Option<u64>,
}

impl From<Usage> for UsageBody {
    fn from(usage: Usage) -> Self {
        Self {
            model: usage.model.map(|model| model.to_string()),
            provider: usage.provider.map(|provider| provider.to_string()),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            cost_micros: usage.cost_micros,
            turns: usage.turns,
            tool_calls: usage.tool_calls,
        }
    }
}
