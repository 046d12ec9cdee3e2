//! Usage: what a run has used of a language model, as its worker reports it.

use crate::ids::ModelName;

/// Most tokens, turns or tool calls of one attempt, and the largest cost in micros. The sum of a year of attempts fits
/// into 64 bits.
pub const MAX_USAGE_COUNT: u64 = 1_000_000_000_000;

/// What one attempt has used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The model.
    pub model: Option<ModelName>,
    /// The company or server that runs the model.
    pub provider: Option<ModelName>,
    /// Tokens that the model has read, with cached ones.
    pub input_tokens: u64,
    /// Tokens that the model has written.
    pub output_tokens: u64,
    /// Input tokens that the model's server had in its cache.
    pub cached_input_tokens: Option<u64>,
    /// The cost in millionths of the currency; `None` if the worker does not know it.
    pub cost_micros: Option<u64>,
    /// Requests to the model.
    pub turns: Option<u64>,
    /// Calls of tools.
    pub tool_calls: Option<u64>,
}

impl Usage {
    /// Returns the sum of the usage of several attempts, with the model and the provider of the last one; `None` if no
    /// attempt has reported any. An optional figure is known only if all these attempts know it.
    pub fn sum<'a>(attempts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        attempts.into_iter().fold(None, |sum: Option<Self>, next| match sum {
            None => Some(next.clone()),
            Some(sum) => Some(Self {
                model: next.model.clone().or(sum.model),
                provider: next.provider.clone().or(sum.provider),
                input_tokens: sum.input_tokens + next.input_tokens,
                output_tokens: sum.output_tokens + next.output_tokens,
                cached_input_tokens: added(sum.cached_input_tokens, next.cached_input_tokens),
                cost_micros: added(sum.cost_micros, next.cost_micros),
                turns: added(sum.turns, next.turns),
                tool_calls: added(sum.tool_calls, next.tool_calls),
            }),
        })
    }
}

/// Returns the sum of two figures, if both are known.
fn added(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.zip(other).map(|(one, other)| one + other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_has_the_cost_only_if_every_attempt_has_one() {
        let cheap = Usage { input_tokens: 5, output_tokens: 2, cost_micros: Some(7), ..Usage::default() };
        let model = Some(ModelName::parse("gpt-5").unwrap());
        let unpriced = Usage { input_tokens: 1, model: model.clone(), ..Usage::default() };
        assert_eq!(Usage::sum([]), None);
        let priced = Usage::sum([&cheap, &cheap]).unwrap();
        assert_eq!((priced.input_tokens, priced.output_tokens, priced.cost_micros), (10, 4, Some(14)));
        let mixed = Usage::sum([&unpriced, &cheap]).unwrap();
        assert_eq!((mixed.input_tokens, mixed.cost_micros, mixed.model), (6, None, model));
    }
}
