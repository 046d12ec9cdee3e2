//! The prices of models, by which the ledger counts costs that workers do not report.
//!
//! They are part of the settings document, which every function reads anyway, so they cost no request.

use std::collections::BTreeMap;

use af_api::prices::{PriceBody, PricesBody};
use af_domain::ids::ModelName;
use af_domain::ledger::{Price, Prices};
use af_domain::refusal::Refusal;

use crate::settings::document;
use crate::settings::overrides::Overrides;
use crate::{App, AppError, Result};

/// The group of the prices in the policies document. No group of policies has this name.
pub(crate) const GROUP: &str = "prices";
/// Most models with a price. Every function reads the document.
const MAX_PRICES: usize = 100;
/// The highest price: a thousand units of the currency for one token.
const MAX_PRICE: u64 = 1_000_000_000_000_000;

/// Reads the stored prices. One that this version cannot read was written by a newer version before a rollback. It stays
/// stored and has no effect.
pub(crate) fn of(stored: &Overrides) -> Prices {
    let price = |(model, value): (&String, &serde_json::Value)| {
        let of = |name: &str| value.get(name)?.as_u64();
        let input = of("inputMicrosPerMillion")?;
        let (cached_input, output) = (of("cachedInputMicrosPerMillion"), of("outputMicrosPerMillion")?);
        Some((ModelName::parse(model.as_str()).ok()?, Price { input, cached_input, output }))
    };
    stored.get(GROUP).into_iter().flatten().filter_map(price).collect()
}

/// Returns the stored prices.
pub async fn show(app: &App) -> Result<PricesBody> {
    Ok(body(of(&document::stored(app).await?)))
}

/// Replaces all prices. They hold for attempts that end from now on. Returns 422 with the invalid field; nothing is written
/// then.
pub async fn set(app: &App, wanted: PricesBody) -> Result<PricesBody> {
    let prices = checked(wanted)?;
    let mut fields = BTreeMap::new();
    for PriceBody {
        model,
        input_micros_per_million,
        cached_input_micros_per_million,
        output_micros_per_million,
    } in body(prices.clone()).prices
    {
        let stored = serde_json::json!({
            "inputMicrosPerMillion": input_micros_per_million,
            "cachedInputMicrosPerMillion": cached_input_micros_per_million,
            "outputMicrosPerMillion": output_micros_per_million,
        });
        fields.insert(model, stored);
    }
    document::change(app, |mut stored| {
        stored.insert(GROUP.to_owned(), fields.clone());
        Ok((stored, ()))
    })
    .await?;
    Ok(body(prices))
}

fn checked(wanted: PricesBody) -> Result<Prices, AppError> {
    if wanted.prices.len() > MAX_PRICES {
        return Err(Refusal::field("/prices", format!("prices must have at most {MAX_PRICES} items")).into());
    }
    let mut prices = Prices::new();
    for (i, price) in wanted.prices.into_iter().enumerate() {
        let at = |field: &str| format!("/prices/{i}/{field}");
        let model = ModelName::parse(price.model).map_err(|e| Refusal::field(at("model"), e.to_string()))?;
        let numbers = [
            ("inputMicrosPerMillion", Some(price.input_micros_per_million)),
            ("cachedInputMicrosPerMillion", price.cached_input_micros_per_million),
            ("outputMicrosPerMillion", Some(price.output_micros_per_million)),
        ];
        if let Some((field, _)) = numbers.iter().find(|(_, number)| number.is_some_and(|n| n > MAX_PRICE)) {
            return Err(Refusal::field(at(field), format!("{field} must be at most {MAX_PRICE}")).into());
        }
        let price = Price {
            input: price.input_micros_per_million,
            cached_input: price.cached_input_micros_per_million,
            output: price.output_micros_per_million,
        };
        if prices.insert(model, price).is_some() {
            return Err(Refusal::field(at("model"), "model must not have two prices").into());
        }
    }
    Ok(prices)
}

fn body(prices: Prices) -> PricesBody {
    let price = |(model, price): (ModelName, Price)| PriceBody {
        model: model.to_string(),
        input_micros_per_million: price.input,
        cached_input_micros_per_million: price.cached_input,
        output_micros_per_million: price.output,
    };
    PricesBody { prices: prices.into_iter().map(price).collect() }
}
