//! Rules of tolerance on the wire.

use chrono::{DateTime, Utc};
use payops_channels::row::Kind;
use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine;
use crate::model::Channel;
use crate::store::rule_set;

/// Makes a version of the rules of tolerance.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "tolerance": [
        { "name": "yen rounding", "priority": 20, "currencies": ["JPY"], "max_amount": 1 },
        { "name": "bank fee", "priority": 10, "channels": ["paypal"], "max_basis_points": 25 }
    ],
    "note": "the bank keeps a quarter of a percent since May"
}))]
pub struct NewRuleSet {
    /// The rules, in any order; none of them tolerates nothing.
    #[schema(max_items = 1000)]
    pub tolerance: Vec<ToleranceRule>,
    /// What the version is made for, at most 2,000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

/// What is tolerated of some payments. A list that is absent or empty means all.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToleranceRule {
    /// What adjustments are booked under: 1 to 100 characters, unique in its version.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Of the rules that speak of a pair the one with the highest number decides, and it alone. Rules that can speak of
    /// the same pair have different ones.
    pub priority: i32,
    /// The channels that it is about.
    #[serde(default)]
    pub channels: Vec<Channel>,
    /// The currencies that it is about, as ISO 4217 codes.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub currencies: Vec<Currency>,
    /// The kinds of movement that it is about: `payment`, `refund`, `dispute` or `dispute_reversal`.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub kinds: Vec<Kind>,
    /// How many minor units the two amounts may be apart; needs `currencies`.
    #[serde(default)]
    pub max_amount: Option<u64>,
    /// How far they may be apart, in ten-thousandths of our amount, rounded down to whole minor units. With
    /// `max_amount`, both must hold.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 9999)]
    pub max_basis_points: Option<u32>,
}

impl From<&ToleranceRule> for engine::ToleranceRule {
    fn from(rule: &ToleranceRule) -> Self {
        Self {
            name: rule.name.clone(),
            priority: rule.priority,
            channels: rule.channels.iter().map(|channel| channel.as_str().to_owned()).collect(),
            currencies: rule.currencies.clone(),
            kinds: rule.kinds.clone(),
            max_amount: rule.max_amount,
            max_basis_points: rule.max_basis_points,
        }
    }
}

/// A version of the rules of tolerance, without the rules.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RuleSet {
    /// Its number, from 1. Of the versions that were activated, the highest is in force.
    pub version: i64,
    /// SHA-256 of its rules in lower-case hex: the same rules have the same hash. Certificates name it.
    pub rules_hash: String,
    /// What it was made for.
    pub note: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Who put it in force; absent until somebody did.
    pub activated_by: Option<String>,
    /// Since when runs that start follow it, until a higher version is activated.
    pub activated_at: Option<DateTime<Utc>>,
}

impl From<rule_set::Model> for RuleSet {
    fn from(set: rule_set::Model) -> Self {
        Self {
            version: set.version,
            rules_hash: set.rules_hash,
            note: set.note,
            created_by: set.created_by,
            created_at: set.created_at,
            activated_by: set.activated_by,
            activated_at: set.activated_at,
        }
    }
}

/// A version of the rules of tolerance with its rules.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RuleSetWithRules {
    /// The version.
    #[serde(flatten)]
    pub set: RuleSet,
    /// Its rules, the first to be asked first. What a rule does not limit is absent.
    #[schema(value_type = Vec<ToleranceRule>)]
    pub tolerance: Vec<engine::ToleranceRule>,
}
