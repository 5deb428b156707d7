//! Questions about other limits, on the wire.

use chrono::{DateTime, Utc};
use payops_platform::error::{Error, Result};
use payops_platform::http::Problems;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::limits::{check_customs, tier_name};
use super::usage::check_period;
use crate::model::{ActionType, Limits, Rule};
use crate::ops::limits::Edit;
use crate::ops::view::Seen;
use crate::ops::what_if::Proposal;
use crate::patch::Patch;
use crate::replay::{Named, Report};

/// A period that is over, and other limits: what a change of tier and a change of limits would make of the merchant.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z", "tier_code": "basic", "custom_daily_limit": null
}))]
pub struct WhatIf {
    /// First instant of the period.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub to: DateTime<Utc>,
    /// Another tier, by id; the merchant's unless named.
    #[serde(default)]
    pub tier_id: Option<Uuid>,
    /// Another tier, by code.
    #[serde(default)]
    pub tier_code: Option<String>,
    /// Another limit of the merchant's own; null is the tier's. What is left out stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub custom_daily_limit: Patch<Option<i64>>,
    /// Null is the tier's.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub custom_monthly_limit: Patch<Option<i64>>,
    /// Null is the tier's.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub custom_single_trans_limit: Patch<Option<i64>>,
}

impl WhatIf {
    /// The proposal, or every field that is not usable.
    pub(crate) fn proposal(&self) -> Result<Proposal> {
        let mut problems = Problems::default();
        problems.note(check_period(Some(self.from), Some(self.to)));
        let named = self.tier_id.is_some() || self.tier_code.is_some();
        let tier = named.then(|| problems.note(tier_name(self.tier_id, self.tier_code.as_deref()))).flatten();
        check_customs(
            &mut problems,
            Limits {
                daily: self.custom_daily_limit.or(None),
                monthly: self.custom_monthly_limit.or(None),
                single_trans: self.custom_single_trans_limit.or(None),
            },
        );
        problems.none()?;
        let edit = Edit {
            daily: self.custom_daily_limit,
            monthly: self.custom_monthly_limit,
            single_trans: self.custom_single_trans_limit,
            zone: None,
        };
        Ok(Proposal { tier, edit, from: self.from, to: self.to })
    }
}

/// What other limits would have done to a period. Amounts are minor units of `currency`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WhatIfReport {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The tier that was tried.
    pub tier_code: String,
    /// The limit currency.
    pub currency: String,
    /// The period.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
    /// Consumes and reserves of the period.
    pub payments: u64,
    /// Those that were allowed and would have been declined.
    pub declined_count: u64,
    /// Their sum.
    pub declined_amount: i64,
    /// How often each rule would have been the first to say no.
    pub declined_by: Vec<RuleCount>,
    /// Those that were declined by a limit and would have been allowed.
    pub allowed_count: u64,
    /// Their sum.
    pub allowed_amount: i64,
    /// The first of the declined, up to 100.
    pub declined: Vec<DeclinedPayment>,
    /// True when there are more.
    pub declined_truncated: bool,
}

/// How often a rule would have said no.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RuleCount {
    /// The rule.
    pub rule: Rule,
    /// How often.
    pub count: u64,
}

/// A payment that would have been declined.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeclinedPayment {
    /// Its row in the usage log.
    pub seq: i64,
    /// The payment.
    pub payment_no: Option<String>,
    /// Whether it was consumed or reserved.
    pub action_type: ActionType,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Minor units of the payment's currency.
    pub amount: i64,
    /// The payment's currency.
    pub payment_currency: String,
    /// What it counted.
    pub counted_amount: i64,
    /// The first rule that says no.
    pub rule: Rule,
    /// The same in words.
    pub reason: &'static str,
}

impl WhatIfReport {
    /// The answer; an error when a sum leaves 64 bits.
    pub(crate) fn of(asked: &WhatIf, seen: Seen, report: Report) -> Result<Self> {
        let sum = |amount: i128| i64::try_from(amount).map_err(|_| crate::error::sum_out_of_range());
        let count = |(rule, count): &(Rule, u64)| RuleCount { rule: *rule, count: *count };
        let named = u64::try_from(report.named.len()).map_err(Error::internal)?;
        Ok(Self {
            merchant_id: seen.limit.merchant_id,
            tier_code: seen.tier.tier_code,
            currency: seen.tier.currency,
            from: asked.from,
            to: asked.to,
            payments: report.payments,
            declined_count: report.declined.count,
            declined_amount: sum(report.declined.amount)?,
            declined_by: report.by_rule.iter().map(count).collect(),
            allowed_count: report.allowed.count,
            allowed_amount: sum(report.allowed.amount)?,
            declined_truncated: named < report.declined.count,
            declined: report.named.into_iter().map(DeclinedPayment::from).collect(),
        })
    }
}

impl From<Named> for DeclinedPayment {
    fn from(named: Named) -> Self {
        let Named { row, rule } = named;
        Self {
            seq: row.seq,
            payment_no: row.payment_no,
            action_type: row.action,
            created_at: row.created_at,
            amount: row.amount,
            payment_currency: row.currency.to_string(),
            counted_amount: row.counted,
            rule,
            reason: rule.reason(),
        }
    }
}
