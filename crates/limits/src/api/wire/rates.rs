//! Exchange rates on the wire.

use chrono::{DateTime, Utc};
use payops_core::currency::Currency;
use payops_platform::error::Result;
use payops_platform::http::Problems;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::ops::rates;
use crate::store::rate;

/// The most pairs of one call.
const MOST_PAIRS: usize = 500;

/// Rates that are to be in force.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "rates": [{ "from_currency": "CNY", "to_currency": "USD", "rate": "0.1389" }] }))]
pub struct Rates {
    /// Up to 500 pairs, each once. Pairs that are not named stay as they are.
    pub rates: Vec<NewRate>,
}

/// The rate of a pair.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRate {
    /// The payment's currency.
    #[schema(value_type = String, example = "CNY")]
    pub from_currency: Currency,
    /// The limit currency.
    #[schema(value_type = String, example = "USD")]
    pub to_currency: Currency,
    /// Units of `to_currency` for one of `from_currency`: a decimal number above 0 as text, with at most 18 digits, 12 of
    /// them decimals.
    pub rate: String,
}

impl Rates {
    /// The rates, or every field that is not usable.
    pub(crate) fn checked(&self) -> Result<Vec<rates::NewRate>> {
        let mut problems = Problems::default();
        if !(1..=MOST_PAIRS).contains(&self.rates.len()) {
            let en = format!("1 to {MOST_PAIRS} rates are accepted");
            problems.refuse("rates", en, format!("允许 1 到 {MOST_PAIRS} 个汇率"));
            problems.none()?;
            return Ok(Vec::new());
        }
        let mut known = std::collections::BTreeSet::new();
        let mut checked = Vec::with_capacity(self.rates.len());
        for (index, new) in self.rates.iter().enumerate() {
            let path = |field: &str| format!("rates[{index}].{field}");
            let (from, to) = (new.from_currency, new.to_currency);
            if from == to {
                problems.refuse(path("to_currency"), "is the same as from_currency", "与 from_currency 相同");
            } else if !known.insert((from, to)) {
                problems.refuse(path("to_currency"), "this pair is given twice", "该币种对重复");
            }
            match new.rate.parse() {
                Ok(rate) => checked.push(rates::NewRate { from, to, rate }),
                Err(error) => problems.refuse(
                    path("rate"),
                    format!("{error}"),
                    "汇率为大于 0 的十进制数，最多 18 位，其中小数最多 12 位，例如 \"0.1389\"",
                ),
            }
        }
        problems.none()?;
        Ok(checked)
    }
}

/// A rate.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Rate {
    /// Row id; payments that were counted at this rate name it.
    pub id: Uuid,
    /// The payment's currency.
    pub from_currency: String,
    /// The limit currency.
    pub to_currency: String,
    /// Units of `to_currency` for one of `from_currency`.
    pub rate: String,
    /// False for a rate of the past.
    pub in_force: bool,
    /// Who set it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// The rates that were named, as they are in force.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RatesInForce {
    /// In the order of their currencies.
    pub rates: Vec<Rate>,
}

impl From<rate::Model> for Rate {
    fn from(rate: rate::Model) -> Self {
        Self {
            id: rate.id,
            from_currency: rate.from_currency,
            to_currency: rate.to_currency,
            rate: rate.rate,
            in_force: rate.in_force,
            created_by: rate.created_by,
            created_at: rate.created_at,
        }
    }
}
