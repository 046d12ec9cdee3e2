//! The ledger: what messages and their attempts have used, and what that costs.

use std::collections::BTreeMap;

use crate::attempt::Attempt;
use crate::ids::ModelName;
use crate::usage::Usage;

/// The prices of one model, in millionths of the currency for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// For input tokens.
    pub input: u64,
    /// For input tokens from the cache of the model's server; `None` if they cost as much as others.
    pub cached_input: Option<u64>,
    /// For output tokens.
    pub output: u64,
}

/// The prices of models.
pub type Prices = BTreeMap<ModelName, Price>;

/// The figures of a row of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages that have ended. A dead letter that is retried ends again.
    pub messages: u64,
    /// Messages that have become dead letters.
    pub failed: u64,
    /// Replies that were delivered to a chat.
    pub delivered: u64,
    /// Attempts that have ended.
    pub attempts: u64,
    /// Attempts whose cost is unknown.
    pub unpriced_attempts: u64,
    /// Tokens that models have read, with cached ones.
    pub input_tokens: u64,
    /// Input tokens from the caches of models' servers.
    pub cached_input_tokens: u64,
    /// Tokens that models have written.
    pub output_tokens: u64,
    /// The known costs, in millionths of the currency.
    pub cost_micros: u64,
    /// The time that attempts have run, ms.
    pub run_ms: u64,
}

impl Price {
    /// The cost of these tokens, rounded to the nearest millionth.
    fn cost(&self, usage: &Usage) -> u64 {
        let cached = usage.cached_input_tokens.unwrap_or_default().min(usage.input_tokens);
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = of(usage.input_tokens - cached, self.input)
            + of(cached, self.cached_input.unwrap_or(self.input))
            + of(usage.output_tokens, self.output);
        u64::try_from((sum + 500_000) / 1_000_000).unwrap_or(u64::MAX)
    }
}

/// The cost of an attempt: as its worker reports it, or by the price of its model; `None` if it is unknown.
pub fn cost(usage: Option<&Usage>, prices: &Prices) -> Option<u64> {
    let usage = usage?;
    usage.cost_micros.or_else(|| Some(prices.get(usage.model.as_ref()?)?.cost(usage)))
}

impl Figures {
    /// The figures of one attempt.
    pub fn of_attempt(attempt: &Attempt, prices: &Prices) -> Self {
        let cost = cost(attempt.usage.as_ref(), prices);
        let usage = attempt.usage.as_ref();
        Self {
            attempts: 1,
            unpriced_attempts: u64::from(cost.is_none()),
            input_tokens: usage.map_or(0, |usage| usage.input_tokens),
            cached_input_tokens: usage.and_then(|usage| usage.cached_input_tokens).unwrap_or_default(),
            output_tokens: usage.map_or(0, |usage| usage.output_tokens),
            cost_micros: cost.unwrap_or_default(),
            run_ms: attempt.ended_at.since(attempt.claimed_at).as_millis(),
            ..Self::default()
        }
    }

    /// Adds the figures of `other`.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.failed += other.failed;
        self.delivered += other.delivered;
        self.attempts += other.attempts;
        self.unpriced_attempts += other.unpriced_attempts;
        self.input_tokens += other.input_tokens;
        self.cached_input_tokens += other.cached_input_tokens;
        self.output_tokens += other.output_tokens;
        self.cost_micros = self.cost_micros.saturating_add(other.cost_micros);
        self.run_ms += other.run_ms;
    }

    /// The cost, if that of at least one attempt is known, or there was no attempt.
    pub const fn known_cost(&self) -> Option<u64> {
        if self.attempts > 0 && self.unpriced_attempts == self.attempts {
            None
        } else {
            Some(self.cost_micros)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> ModelName {
        ModelName::parse(name).unwrap()
    }

    #[test]
    fn a_cost_is_that_of_the_worker_or_of_the_price_table_or_unknown() {
        let price = Price { input: 250_000, cached_input: Some(25_000), output: 2_000_000 };
        let prices = Prices::from([(model("small-1"), price)]);
        let usage = Usage {
            model: Some(model("small-1")),
            input_tokens: 1_000,
            cached_input_tokens: Some(600),
            output_tokens: 100,
            ..Usage::default()
        };
        // 400 × 0.25 + 600 × 0.025 + 100 × 2
        assert_eq!(cost(Some(&usage), &prices), Some(315));
        assert_eq!(cost(Some(&Usage { cost_micros: Some(9), ..usage.clone() }), &prices), Some(9));
        assert_eq!(cost(Some(&Usage { model: Some(model("large-1")), ..usage.clone() }), &prices), None);
        assert_eq!(cost(Some(&Usage { model: None, ..usage }), &prices), None);
        assert_eq!(cost(None, &prices), None);
    }

    #[test]
    fn a_row_without_a_known_cost_has_no_cost() {
        let unpriced = Figures { attempts: 2, unpriced_attempts: 2, ..Figures::default() };
        assert_eq!(unpriced.known_cost(), None);
        let mut mixed = unpriced;
        mixed.add(&Figures { attempts: 1, cost_micros: 5, ..Figures::default() });
        assert_eq!((mixed.known_cost(), mixed.unpriced_attempts), (Some(5), 2));
        assert_eq!(Figures::default().known_cost(), Some(0));
    }
}
