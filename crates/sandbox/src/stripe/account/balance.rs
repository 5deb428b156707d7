//! What moves the account's balance.

use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Account, Act, Settings};
use crate::days::{MovementKind, fee_of};

/// How long money that comes in is on its way.
const AVAILABLE_AFTER_SECONDS: i64 = 2 * 86_400;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Movement {
    Charge,
    Refund,
    RefundFailure,
    DisputeWithdrawal,
    DisputeReversal,
}

impl Movement {
    /// `type`, `reporting_category`, and how the description begins.
    fn words(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Self::Charge => ("charge", "charge", None),
            Self::Refund => ("refund", "refund", Some("REFUND FOR CHARGE")),
            Self::RefundFailure => ("refund_failure", "refund_failure", Some("REFUND FAILURE FOR CHARGE")),
            Self::DisputeWithdrawal => ("adjustment", "dispute", Some("Chargeback withdrawal for")),
            Self::DisputeReversal => ("adjustment", "dispute_reversal", Some("Chargeback reversal for")),
        }
    }
}

/// One movement of the balance, in the currency that is settled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BalanceTransaction {
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) available_on: i64,
    pub(crate) created: i64,
    pub(crate) currency: String,
    pub(crate) description: Option<String>,
    pub(crate) fee: i64,
    pub(crate) kind: String,
    pub(crate) category: String,
    pub(crate) source: String,
    /// Minor units of the balance for a million of the source's.
    rate: Option<i64>,
}

impl BalanceTransaction {
    pub(crate) fn object(&self) -> Value {
        let fees = if self.fee == 0 {
            json!([])
        } else {
            let is_dispute = self.category == "dispute";
            let description = if is_dispute { "Dispute fee" } else { "Stripe processing fees" };
            json!([{
                "amount": self.fee,
                "application": null,
                "currency": self.currency,
                "description": description,
                "type": "stripe_fee",
            }])
        };
        json!({
            "id": self.id,
            "object": "balance_transaction",
            "amount": self.amount,
            "available_on": self.available_on,
            "created": self.created,
            "currency": self.currency,
            "description": self.description,
            "exchange_rate": self.rate.map(decimal),
            "fee": self.fee,
            "fee_details": fees,
            "net": self.amount - self.fee,
            "reporting_category": self.category,
            "source": self.source,
            "status": "available",
            "type": self.kind,
        })
    }
}

/// Millionths as a JSON number.
fn decimal(millionths: i64) -> Value {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// An amount as it is settled: with its currency and the rate.
fn settled(settings: &Settings, amount: i64, currency: &str) -> (i64, String, Option<i64>) {
    match &settings.settlement {
        Some(settlement) if settlement.currency != currency => {
            let scaled = i128::from(amount) * i128::from(settlement.per_million);
            let rounded = (scaled.abs() + 500_000) / 1_000_000 * scaled.signum();
            let amount = i64::try_from(rounded).unwrap_or(i64::MAX);
            (amount, settlement.currency.clone(), Some(settlement.per_million))
        }
        _ => (amount, currency.to_owned(), None),
    }
}

impl Account {
    /// Books `amount` minor units of `currency` (negative when they leave) for a charge.
    pub(super) fn book(
        &mut self,
        act: &Act<'_>,
        movement: Movement,
        (amount, currency): (i64, &str),
        source: &str,
        charge: &str,
    ) -> String {
        let (amount, currency, rate) = settled(act.settings, amount, currency);
        let known = Currency::parse(currency.as_bytes()).unwrap_or(Currency::USD);
        let fee = match movement {
            Movement::Charge => fee_of(MovementKind::Payment, amount, known),
            Movement::DisputeWithdrawal => fee_of(MovementKind::Dispute, -amount, known),
            _ => 0,
        };
        let (kind, category, description) = movement.words();
        let is_dispute = matches!(movement, Movement::DisputeWithdrawal | Movement::DisputeReversal);
        let id = act.id("txn_1");
        self.place(&id, self.balance.len());
        self.balance.push(BalanceTransaction {
            id: id.clone(),
            amount,
            available_on: act.seconds() + if is_dispute { 0 } else { AVAILABLE_AFTER_SECONDS },
            created: act.seconds(),
            currency,
            description: description.map(|words| format!("{words} {charge}")),
            fee,
            kind: kind.to_owned(),
            category: category.to_owned(),
            source: source.to_owned(),
            rate,
        });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_plain_number() {
        assert_eq!(decimal(1_398_500).to_string(), "1.3985");
        assert_eq!(decimal(250).to_string(), "0.00025");
    }
}
