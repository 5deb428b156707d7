//! Refunds, and their race with disputes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::balance::Movement;
use super::{Account, Act};
use crate::stripe::error::StripeError;

/// A refund this young when its charge is disputed has not left yet, and fails.
const UNDER_WAY_SECONDS: i64 = 30;

/// What a refund is asked to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RefundRequest {
    /// `None` for all that is left.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A refund.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) charge: String,
    pub(crate) payment_intent: Option<String>,
    pub(crate) created: i64,
    amount: i64,
    currency: String,
    reason: Option<String>,
    metadata: BTreeMap<String, String>,
    balance_transaction: String,
    failure: Option<String>,
    failure_balance_transaction: Option<String>,
}

impl Refund {
    pub(crate) fn object(&self) -> Value {
        let mut object = json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": self.balance_transaction,
            "charge": self.charge,
            "created": self.created,
            "currency": self.currency,
            "metadata": self.metadata,
            "payment_intent": self.payment_intent,
            "reason": self.reason,
            "receipt_number": null,
            "status": if self.failure.is_some() { "failed" } else { "succeeded" },
        });
        if let Some(failure) = &self.failure {
            object["failure_reason"] = json!(failure);
            object["failure_balance_transaction"] = json!(self.failure_balance_transaction);
        }
        object
    }
}

impl Account {
    /// Gives money back, unless the issuer has already taken it.
    pub(crate) fn make_refund(
        &mut self,
        act: &mut Act<'_>,
        charge_id: &str,
        request: RefundRequest,
    ) -> Result<String, StripeError> {
        Self::room(self.refunds.len(), "refunds")?;
        let charge = self
            .charge(charge_id)
            .ok_or_else(|| StripeError::no_such_object("charge", "charge", charge_id))?;
        if charge.disputes.iter().filter_map(|id| self.dispute(id)).any(|dispute| !dispute.is_refundable()) {
            let message = format!("Charge {charge_id} has been charged back; cannot issue a refund.");
            return Err(StripeError::invalid_request(message).with_code("charge_disputed"));
        }
        let left = charge.unrefunded();
        if left == 0 {
            let message = format!("Charge {charge_id} has already been refunded.");
            return Err(StripeError::invalid_request(message).with_code("charge_already_refunded"));
        }
        let amount = request.amount.unwrap_or(left);
        if amount > left {
            let message = format!(
                "Refund amount ({amount}) is greater than unrefunded amount on charge ({left}), in minor units."
            );
            return Err(StripeError::invalid("amount", message));
        }
        Ok(self.refund_now(act, charge_id, amount, request))
    }

    /// Gives money back without asking.
    pub(super) fn refund_now(
        &mut self,
        act: &mut Act<'_>,
        charge_id: &str,
        amount: i64,
        request: RefundRequest,
    ) -> String {
        let id = act.id("re_3");
        let warnings = self.warnings_about(charge_id);
        let Some(charge) = self.charge_mut(charge_id) else { return id };
        charge.amount_refunded += amount;
        let (payment_intent, currency) = (charge.payment_intent.clone(), charge.terms.currency.clone());
        let row = self.book(act, Movement::Refund, (-amount, &currency), &id, charge_id);
        self.place(&id, self.refunds.len());
        self.refunds.push(Refund {
            id: id.clone(),
            charge: charge_id.to_owned(),
            payment_intent,
            created: act.seconds(),
            amount,
            currency,
            reason: request.reason,
            metadata: request.metadata,
            balance_transaction: row,
            failure: None,
            failure_balance_transaction: None,
        });
        if let Some(refund) = self.refund(&id) {
            act.tell("refund.created", refund.object());
        }
        self.tell_charge(act, "charge.refunded", charge_id);
        self.tell_warnings(act, charge_id, &warnings);
        self.close_refunded_inquiries(act, charge_id);
        id
    }

    /// A chargeback overtakes refunds that have not left yet.
    pub(super) fn fail_refunds_under_way(&mut self, act: &mut Act<'_>, charge_id: &str) {
        let since = act.seconds() - UNDER_WAY_SECONDS;
        let young = |refund: &&Refund| {
            refund.charge == charge_id && refund.failure.is_none() && refund.created > since
        };
        let ids: Vec<String> = self.refunds.iter().filter(young).map(|refund| refund.id.clone()).collect();
        for id in ids {
            let Some(refund) = self.refund(&id) else { continue };
            let (amount, currency) = (refund.amount, refund.currency.clone());
            let row = self.book(act, Movement::RefundFailure, (amount, &currency), &id, charge_id);
            if let Some(charge) = self.charge_mut(charge_id) {
                charge.amount_refunded -= amount;
            }
            let Some(refund) = self.at(&id).and_then(|at| self.refunds.get_mut(at)) else { continue };
            refund.failure = Some("charge_for_pending_refund_disputed".to_owned());
            refund.failure_balance_transaction = Some(row);
            act.tell("refund.failed", refund.object());
        }
    }
}
