//! The prices of models.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The prices of all models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PricesBody {
    /// The prices, at most 100, in order of their models.
    pub prices: Vec<PriceBody>,
}

/// The prices of one model, in millionths of the currency for a million tokens: 250000 is 0.25 for a million tokens.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceBody {
    /// The model, exactly as workers report it.
    pub model: String,
    /// For input tokens.
    pub input_micros_per_million: u64,
    /// For input tokens from the cache of the model's server; left out when they cost as much as others.
    pub cached_input_micros_per_million: Option<u64>,
    /// For output tokens.
    pub output_micros_per_million: u64,
}
