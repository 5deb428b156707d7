//! Tiers on the wire.

use chrono::{DateTime, Utc};
use payops_core::currency::Currency;
use payops_platform::error::Result;
use payops_platform::http::{Problems, check_line, check_text};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::FeeRate;
use super::given::nullable;
use crate::patch::Patch;
use crate::store::tier;

const DEFAULT_CALLS: i32 = 100;
const DEFAULT_THRESHOLDS: [i16; 3] = [80, 90, 100];
/// The most entries of a list of channels, currencies or thresholds.
const MOST_ENTRIES: usize = 200;
const MOST_THRESHOLDS: usize = 20;
/// An alert may tell how far beyond its limit a merchant is.
const HIGHEST_THRESHOLD: i16 = 1000;

/// A new tier.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "tier_code": "professional-eu", "tier_name": "Professional (EU)", "tier_level": 3, "currency": "EUR",
    "daily_limit": 100_000_000, "monthly_limit": 500_000_000, "single_trans_limit": 10_000_000,
    "transaction_fee_rate": 0.0025, "withdrawal_fee_rate": 0.005
}))]
pub struct NewTier {
    /// Unique: letters a to z, digits, `-`, `_` and `.`.
    #[schema(max_length = 50)]
    pub tier_code: String,
    /// For people; the code unless named.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub tier_name: Option<String>,
    /// 1 is the lowest.
    #[schema(minimum = 1, maximum = 1000)]
    pub tier_level: i32,
    /// For people.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub description: String,
    /// The currency of the three limits, and of the usage of the tier's merchants; `USD` unless named.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "USD")]
    pub currency: Option<Currency>,
    /// What a calendar day may bring, minor units. Null is no limit, 0 allows nothing.
    #[serde(deserialize_with = "nullable")]
    #[schema(minimum = 0)]
    pub daily_limit: Option<i64>,
    /// What a calendar month may bring.
    #[serde(deserialize_with = "nullable")]
    #[schema(minimum = 0)]
    pub monthly_limit: Option<i64>,
    /// What one transaction may bring.
    #[serde(deserialize_with = "nullable")]
    #[schema(minimum = 0)]
    pub single_trans_limit: Option<i64>,
    /// 0 to 1, at most four decimals: 0.0025 is 0.25 %.
    #[schema(value_type = f64)]
    pub transaction_fee_rate: FeeRate,
    /// 0 to 1, at most four decimals.
    #[schema(value_type = f64)]
    pub withdrawal_fee_rate: FeeRate,
    /// The payment channels that are allowed; null, or left out, is all.
    #[serde(default)]
    pub allowed_channels: Option<Vec<String>>,
    /// The payment currencies that are allowed; null, or left out, is all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_currencies: Option<Vec<Currency>>,
    /// How often a minute a merchant may call; 100 unless named.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub max_api_calls_per_min: Option<i32>,
    /// The percentages of a day's and a month's limit that are told when they are reached; 80, 90 and 100 unless named.
    #[serde(default)]
    pub alert_thresholds: Option<Vec<i16>>,
}

/// A change of a tier: what is left out stays as it is.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "daily_limit": 200_000_000, "monthly_limit": null }))]
pub struct TierChange {
    /// Unique: letters a to z, digits, `-`, `_` and `.`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub tier_code: Patch<String>,
    /// For people.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub tier_name: Patch<String>,
    /// 1 is the lowest.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub tier_level: Patch<i32>,
    /// For people.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Patch<String>,
    /// Only while no merchant has the tier.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub currency: Patch<Currency>,
    /// What a calendar day may bring, minor units. Null is no limit, 0 allows nothing.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub daily_limit: Patch<Option<i64>>,
    /// What a calendar month may bring.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub monthly_limit: Patch<Option<i64>>,
    /// What one transaction may bring.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub single_trans_limit: Patch<Option<i64>>,
    /// 0 to 1, at most four decimals.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    pub transaction_fee_rate: Patch<FeeRate>,
    /// 0 to 1, at most four decimals.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    pub withdrawal_fee_rate: Patch<FeeRate>,
    /// The payment channels that are allowed; null is all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_channels: Patch<Option<Vec<String>>>,
    /// The payment currencies that are allowed; null is all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_currencies: Patch<Option<Vec<Currency>>>,
    /// How often a minute a merchant may call.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub max_api_calls_per_min: Patch<i32>,
    /// The percentages of a limit that are told when they are reached.
    #[serde(default)]
    #[schema(value_type = Option<Vec<i16>>)]
    pub alert_thresholds: Patch<Vec<i16>>,
}

impl NewTier {
    /// Every field as a change of nothing.
    pub(crate) fn into_change(self) -> TierChange {
        TierChange {
            tier_name: Patch::Set(self.tier_name.unwrap_or_else(|| self.tier_code.clone())),
            tier_code: Patch::Set(self.tier_code),
            tier_level: Patch::Set(self.tier_level),
            description: Patch::Set(self.description),
            currency: Patch::Set(self.currency.unwrap_or(Currency::USD)),
            daily_limit: Patch::Set(self.daily_limit),
            monthly_limit: Patch::Set(self.monthly_limit),
            single_trans_limit: Patch::Set(self.single_trans_limit),
            transaction_fee_rate: Patch::Set(self.transaction_fee_rate),
            withdrawal_fee_rate: Patch::Set(self.withdrawal_fee_rate),
            allowed_channels: Patch::Set(self.allowed_channels),
            allowed_currencies: Patch::Set(self.allowed_currencies),
            max_api_calls_per_min: Patch::Set(self.max_api_calls_per_min.unwrap_or(DEFAULT_CALLS)),
            alert_thresholds: Patch::Set(
                self.alert_thresholds.unwrap_or_else(|| DEFAULT_THRESHOLDS.to_vec()),
            ),
        }
    }
}

impl TierChange {
    /// Refuses every field that is not usable.
    pub(crate) fn check(&self) -> Result<()> {
        let mut problems = Problems::default();
        if let Patch::Set(code) = &self.tier_code {
            check_code(&mut problems, code);
        }
        // Left out of a new tier, the name is the code, which is told once.
        if let Some(name) = self.tier_name.value().filter(|name| self.tier_code.value() != Some(*name)) {
            problems.note(check_line("tier_name", name, 1, 100));
        }
        if let Patch::Set(description) = &self.description {
            problems.note(check_text("description", description, 0, 500));
        }
        check_range(&mut problems, "tier_level", self.tier_level.value().copied().map(i64::from), 1, 1000);
        check_range(
            &mut problems,
            "max_api_calls_per_min",
            self.max_api_calls_per_min.value().copied().map(i64::from),
            1,
            1_000_000,
        );
        let limits = [
            ("daily_limit", self.daily_limit),
            ("monthly_limit", self.monthly_limit),
            ("single_trans_limit", self.single_trans_limit),
        ];
        for (path, limit) in limits {
            check_range(&mut problems, path, limit.or(None), 0, i64::MAX);
        }
        if let Some(channels) = self.allowed_channels.value().and_then(Option::as_ref) {
            check_list(&mut problems, "allowed_channels", channels, MOST_ENTRIES, 1);
            for (index, channel) in channels.iter().enumerate() {
                problems.note(check_line(&format!("allowed_channels[{index}]"), channel, 1, 50));
            }
        }
        if let Some(currencies) = self.allowed_currencies.value().and_then(Option::as_ref) {
            check_list(&mut problems, "allowed_currencies", currencies, MOST_ENTRIES, 1);
        }
        if let Patch::Set(thresholds) = &self.alert_thresholds {
            check_list(&mut problems, "alert_thresholds", thresholds, MOST_THRESHOLDS, 0);
            for (index, percent) in thresholds.iter().enumerate() {
                let path = format!("alert_thresholds[{index}]");
                check_range(&mut problems, &path, Some(i64::from(*percent)), 1, i64::from(HIGHEST_THRESHOLD));
            }
        }
        problems.none()
    }

    /// Writes the fields that are named into a row.
    pub(crate) fn apply(&self, tier: &mut tier::Model) {
        self.tier_code.apply(&mut tier.tier_code);
        self.tier_name.apply(&mut tier.tier_name);
        self.tier_level.apply(&mut tier.tier_level);
        self.description.apply(&mut tier.description);
        self.daily_limit.apply(&mut tier.daily_limit);
        self.monthly_limit.apply(&mut tier.monthly_limit);
        self.single_trans_limit.apply(&mut tier.single_trans_limit);
        self.max_api_calls_per_min.apply(&mut tier.max_api_calls_per_min);
        if let Patch::Set(currency) = self.currency {
            tier.currency = currency.to_string();
        }
        if let Patch::Set(rate) = self.transaction_fee_rate {
            tier.transaction_fee_rate = rate.0;
        }
        if let Patch::Set(rate) = self.withdrawal_fee_rate {
            tier.withdrawal_fee_rate = rate.0;
        }
        if let Patch::Set(channels) = &self.allowed_channels {
            tier.allowed_channels = channels.as_ref().map(|list| json!(list));
        }
        if let Patch::Set(currencies) = &self.allowed_currencies {
            tier.allowed_currencies = currencies.as_ref().map(|list| json!(list));
        }
        if let Patch::Set(thresholds) = &self.alert_thresholds {
            let mut thresholds = thresholds.clone();
            thresholds.sort_unstable();
            tier.alert_thresholds = json!(thresholds);
        }
    }
}

fn check_code(problems: &mut Problems, code: &str) {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if !(1..=50).contains(&code.len()) || !code.chars().all(letters) {
        problems.refuse(
            "tier_code",
            "1 to 50 letters a to z, digits, '-', '_' and '.' are accepted",
            "允许 1 到 50 个小写字母、数字、'-'、'_' 和 '.'",
        );
    }
}

fn check_range(problems: &mut Problems, path: &str, number: Option<i64>, least: i64, most: i64) {
    if number.is_some_and(|number| !(least..=most).contains(&number)) {
        problems.refuse(
            path,
            format!("must lie between {least} and {most}"),
            format!("必须在 {least} 到 {most} 之间"),
        );
    }
}

fn check_list<T: PartialEq>(problems: &mut Problems, path: &str, list: &[T], most: usize, least: usize) {
    let repeated = list.iter().enumerate().any(|(index, entry)| list[..index].contains(entry));
    if !(least..=most).contains(&list.len()) || repeated {
        let en = format!("{least} to {most} different entries are accepted");
        problems.refuse(path, en, format!("允许 {least} 到 {most} 个不同的条目"));
    }
}

/// A tier.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Tier {
    /// Row id.
    pub id: Uuid,
    /// Unique code.
    pub tier_code: String,
    /// For people.
    pub tier_name: String,
    /// 1 is the lowest.
    pub tier_level: i32,
    /// For people.
    pub description: String,
    /// The currency of the three limits, and of the usage of the tier's merchants.
    pub currency: String,
    /// Minor units; null is no limit, 0 allows nothing.
    pub daily_limit: Option<i64>,
    /// Minor units; null is no limit, 0 allows nothing.
    pub monthly_limit: Option<i64>,
    /// Minor units; null is no limit, 0 allows nothing.
    pub single_trans_limit: Option<i64>,
    /// 0 to 1, exact.
    #[schema(value_type = f64)]
    pub transaction_fee_rate: FeeRate,
    /// 0 to 1, exact.
    #[schema(value_type = f64)]
    pub withdrawal_fee_rate: FeeRate,
    /// Null is all.
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_channels: Option<serde_json::Value>,
    /// Null is all.
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_currencies: Option<serde_json::Value>,
    /// How often a minute a merchant may call.
    pub max_api_calls_per_min: i32,
    /// Percentages, ascending.
    #[schema(value_type = Vec<i16>)]
    pub alert_thresholds: serde_json::Value,
    /// Grows with every change; also the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<tier::Model> for Tier {
    fn from(tier: tier::Model) -> Self {
        Self {
            id: tier.id,
            tier_code: tier.tier_code,
            tier_name: tier.tier_name,
            tier_level: tier.tier_level,
            description: tier.description,
            currency: tier.currency,
            daily_limit: tier.daily_limit,
            monthly_limit: tier.monthly_limit,
            single_trans_limit: tier.single_trans_limit,
            transaction_fee_rate: FeeRate(tier.transaction_fee_rate),
            withdrawal_fee_rate: FeeRate(tier.withdrawal_fee_rate),
            allowed_channels: tier.allowed_channels,
            allowed_currencies: tier.allowed_currencies,
            max_api_calls_per_min: tier.max_api_calls_per_min,
            alert_thresholds: tier.alert_thresholds,
            version: tier.version,
            created_at: tier.created_at,
            updated_at: tier.updated_at,
        }
    }
}
