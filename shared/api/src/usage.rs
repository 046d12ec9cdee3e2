//! Usage: what runs have used of language models.

use af_domain::ledger::Figures;
use af_domain::usage::Usage;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::pages::Limit;

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

/// Which rows of the ledger to list.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsageQuery {
    /// `deployment` (also when left out), `agent` or `user`.
    pub scope: Option<String>,
    /// The agentKey or the consumerUserId of the scope; left out for the deployment.
    pub id: Option<String>,
    /// How the figures of a day are split: `day` (also when left out), for the deployment also `agent`, `user` or `model`.
    /// Those of a user are always split by agent.
    pub by: Option<String>,
    /// The first day in UTC, as `2026-01-31`. Left out, it is 29 days ago.
    pub from: Option<String>,
    /// The last day in UTC, as `2026-01-31`. Left out, it is today.
    pub to: Option<String>,
    /// Rows on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// A row of the ledger: what was used on one day.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerBody {
    /// The day in UTC, as `2026-01-31`.
    pub day: String,
    /// The agent, in rows of agents and users.
    pub agent_key: Option<String>,
    /// The user, in rows of users.
    pub consumer_user_id: Option<String>,
    /// The model, in rows of models.
    pub model: Option<String>,
    /// The figures.
    #[serde(flatten)]
    pub figures: LedgerFigures,
}

/// What messages and their attempts have used.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerFigures {
    /// Messages that have ended. A dead letter that is retried ends again. A row of a model has none.
    pub messages: u64,
    /// Messages that have become dead letters.
    pub failed: u64,
    /// Replies that were delivered to a Telegram chat.
    pub delivered: u64,
    /// Attempts that have ended.
    pub attempts: u64,
    /// Attempts whose cost is unknown: their worker has reported none, and their model has no price.
    pub unpriced_attempts: u64,
    /// Tokens that models have read, with cached ones.
    pub input_tokens: u64,
    /// Input tokens from the caches of models' servers.
    pub cached_input_tokens: u64,
    /// Tokens that models have written.
    pub output_tokens: u64,
    /// The cost in millionths of the currency, without the attempts whose cost is unknown; left out when all of them are.
    pub cost_micros: Option<u64>,
    /// The time that attempts have run, ms.
    pub run_ms: u64,
}

impl From<Figures> for LedgerFigures {
    fn from(figures: Figures) -> Self {
        Self {
            messages: figures.messages,
            failed: figures.failed,
            delivered: figures.delivered,
            attempts: figures.attempts,
            unpriced_attempts: figures.unpriced_attempts,
            input_tokens: figures.input_tokens,
            cached_input_tokens: figures.cached_input_tokens,
            output_tokens: figures.output_tokens,
            cost_micros: figures.known_cost(),
            run_ms: figures.run_ms,
        }
    }
}
