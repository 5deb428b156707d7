//! The life of a dispute: what the merchant, the issuer and time do to it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::Value;

use super::balance::Movement;
use super::disputes::{Verdict, usual_deadline};
use super::timers::Due;
use super::{Account, Act, Dispute, DisputeStatus, EvidenceUpdate, FraudWarning, NewDispute, RefundRequest};
use crate::stripe::error::StripeError;

/// How long an inquiry may be quiet until it is closed.
const QUIET: TimeDelta = TimeDelta::days(120);

/// The words that decide, as the merchant writes them into the evidence.
fn verdict_of(evidence: &BTreeMap<String, String>) -> Option<Verdict> {
    match evidence.get("uncategorized_text")?.trim() {
        "winning_evidence" => Some(Verdict::Won),
        "losing_evidence" => Some(Verdict::Lost),
        "escalate_inquiry_evidence" => Some(Verdict::Escalated),
        _ => None,
    }
}

fn no_such(id: &str) -> StripeError {
    StripeError::no_such_object("dispute", "dispute", id)
}

fn already_closed() -> StripeError {
    StripeError::invalid_request("This dispute is already closed")
}

impl Account {
    /// The dispute that a test card causes; for several, one after the other.
    pub(super) fn issuer_disputes(&mut self, act: &mut Act<'_>, charge_id: &str, share: i64, more: u32) {
        let Some(charge) = self.charge(charge_id) else { return };
        let (reason, network_code, case_type) = charge.terms.card.case();
        let whole = charge.terms.amount;
        let disputed: i64 =
            charge.disputes.iter().filter_map(|id| self.dispute(id)).map(|one| one.amount).sum();
        let amount = if more == 0 { whole - disputed } else { whole * share / 100 };
        let new = NewDispute {
            charge: charge_id.to_owned(),
            amount,
            reason: reason.to_owned(),
            network_code: Some(network_code.to_owned()),
            case_type: case_type.to_owned(),
            due_by: None,
            metadata: BTreeMap::new(),
        };
        self.open_dispute(act, new);
        if more > 0 {
            let due = Due::Dispute { charge: charge_id.to_owned(), share, more: more - 1 };
            self.timers.add(act.now + act.settings.dispute_delay, due);
        }
    }

    pub(super) fn issuer_warns(&mut self, act: &mut Act<'_>, charge_id: &str) {
        let warning =
            FraudWarning { id: act.id("issfr_1"), charge: charge_id.to_owned(), created: act.seconds() };
        act.tell("radar.early_fraud_warning.created", self.warning_object(&warning));
        self.warnings.push(warning);
    }

    pub(crate) fn warning_object(&self, warning: &FraudWarning) -> Value {
        let charge = self.charge(&warning.charge);
        let open = charge.is_some_and(|charge| charge.unrefunded() > 0 && charge.disputes.is_empty());
        serde_json::json!({
            "id": warning.id,
            "object": "radar.early_fraud_warning",
            "actionable": open,
            "charge": warning.charge,
            "created": warning.created,
            "fraud_type": "made_with_stolen_card",
            "livemode": false,
            "payment_intent": charge.and_then(|charge| charge.payment_intent.as_ref()),
        })
    }

    /// The fraud warnings about a charge, as they look now.
    pub(super) fn warnings_about(&self, charge_id: &str) -> Vec<Value> {
        let about = self.warnings.iter().filter(|warning| warning.charge == charge_id);
        about.map(|warning| self.warning_object(warning)).collect()
    }

    /// Tells of the fraud warnings about a charge that have changed.
    pub(super) fn tell_warnings(&self, act: &mut Act<'_>, charge_id: &str, before: &[Value]) {
        for (before, now) in before.iter().zip(self.warnings_about(charge_id)) {
            act.tell_change("radar.early_fraud_warning.updated", before, now);
        }
    }

    /// A dispute begins. Money goes unless it is an inquiry or was prevented.
    pub(crate) fn open_dispute(&mut self, act: &mut Act<'_>, new: NewDispute) -> Option<String> {
        let charge = self.charge(&new.charge)?;
        let status = match (new.case_type.as_str(), new.due_by) {
            ("inquiry", _) => DisputeStatus::WarningNeedsResponse,
            ("block" | "resolution", _) => DisputeStatus::Prevented,
            (_, Some(0)) => DisputeStatus::Lost,
            _ => DisputeStatus::NeedsResponse,
        };
        let due_by = match status {
            DisputeStatus::Prevented => None,
            _ => Some(new.due_by.unwrap_or_else(|| usual_deadline(act.now))),
        };
        let id = act.id("du_1");
        let (terms, amount) = (&charge.terms, new.amount);
        let unrefunded = charge.unrefunded();
        let dispute = Dispute {
            id: id.clone(),
            charge: new.charge.clone(),
            payment_intent: charge.payment_intent.clone(),
            created: act.seconds(),
            customer: terms.customer.clone(),
            amount,
            currency: terms.currency.clone(),
            reason: new.reason,
            network_code: new.network_code,
            brand: terms.card.brand().to_owned(),
            enhanced_eligibility: terms.card.enhanced_eligibility().map(str::to_owned),
            case_type: new.case_type,
            status,
            due_by,
            submission_count: 0,
            has_evidence: false,
            evidence: BTreeMap::new(),
            enhanced: serde_json::Map::new(),
            metadata: new.metadata,
            balance_transactions: Vec::new(),
        };
        let resolves = dispute.case_type == "resolution";
        let warnings = self.warnings_about(&new.charge);
        self.place(&id, self.disputes.len());
        self.disputes.push(dispute);
        if let Some(charge) = self.charge_mut(&new.charge) {
            charge.disputes.push(id.clone());
        }
        self.timers.add(act.now + act.settings.dispute_delay, Due::Prefill { dispute: id.clone() });
        self.begin(act, &id, &new.charge);
        self.tell_warnings(act, &new.charge, &warnings);
        if resolves && unrefunded > 0 {
            self.refund_now(act, &new.charge, amount.min(unrefunded), RefundRequest::default());
        }
        Some(id)
    }

    /// What follows from how a dispute begins, with the events in Stripe's order.
    fn begin(&mut self, act: &mut Act<'_>, id: &str, charge: &str) {
        let Some(dispute) = self.dispute(id) else { return };
        let (status, due_by) = (dispute.status, dispute.due_by);
        if matches!(status, DisputeStatus::NeedsResponse | DisputeStatus::Lost) {
            self.fail_refunds_under_way(act, charge);
            self.move_money(act, id, Movement::DisputeWithdrawal);
        }
        act.tell("charge.dispute.created", self.object_of(id));
        match status {
            DisputeStatus::NeedsResponse | DisputeStatus::Lost => {
                act.tell("charge.dispute.funds_withdrawn", self.object_of(id));
            }
            DisputeStatus::WarningNeedsResponse => {
                self.timers.add(act.now + QUIET, Due::Quiet { dispute: id.to_owned() });
            }
            _ => {}
        }
        if status.is_closed() {
            act.tell("charge.dispute.closed", self.object_of(id));
        } else {
            self.expect_answer(id, due_by);
        }
    }

    fn expect_answer(&mut self, id: &str, due_by: Option<i64>) {
        let at = due_by.and_then(|seconds| chrono::DateTime::from_timestamp(seconds + 1, 0));
        if let (Some(at), Some(due_by)) = (at, due_by) {
            self.timers.add(at, Due::Deadline { dispute: id.to_owned(), due_by });
        }
    }

    fn move_money(&mut self, act: &Act<'_>, id: &str, movement: Movement) {
        let Some(dispute) = self.dispute(id) else { return };
        let (amount, currency, charge) = (dispute.amount, dispute.currency.clone(), dispute.charge.clone());
        let signed = if movement == Movement::DisputeWithdrawal { -amount } else { amount };
        let row = self.book(act, movement, (signed, &currency), id, &charge);
        if let Some(dispute) = self.dispute_mut(id) {
            dispute.balance_transactions.push(row);
        }
    }

    /// What the charge knows of the customer becomes evidence, where the merchant has said nothing.
    pub(super) fn prefill(&mut self, id: &str) {
        let Some(charge) = self.dispute(id).and_then(|dispute| self.charge(&dispute.charge)) else { return };
        let terms = &charge.terms;
        let email = terms.payer.email.clone().or_else(|| terms.receipt_email.clone());
        let known = [
            ("customer_name", terms.payer.name.clone()),
            ("customer_email_address", email),
            ("product_description", terms.description.clone()),
        ];
        let Some(dispute) = self.dispute_mut(id).filter(|dispute| !dispute.status.is_closed()) else {
            return;
        };
        for (name, value) in known {
            if let Some(value) = value {
                dispute.evidence.entry(name.to_owned()).or_insert(value);
            }
        }
    }

    /// The merchant stages or sends evidence, or changes metadata.
    pub(crate) fn update_dispute(
        &mut self,
        act: &mut Act<'_>,
        id: &str,
        update: EvidenceUpdate,
        metadata: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<(), StripeError> {
        let dispute = self.dispute(id).ok_or_else(|| no_such(id))?;
        if dispute.status.is_closed() {
            return Err(already_closed());
        }
        let touches = update.is_given() || update.submit == Some(true);
        let answered =
            matches!(dispute.status, DisputeStatus::UnderReview | DisputeStatus::WarningUnderReview);
        if touches && answered && !act.settings.takes_second_submission {
            let message =
                "Evidence has already been submitted for this dispute; it can be submitted only once.";
            return Err(StripeError::invalid_request(message));
        }
        let submits = touches && update.submit != Some(false);
        let mut changed = dispute.clone();
        let gives = update.is_given();
        update.apply(self, &mut changed)?;
        metadata(&mut changed.metadata);
        changed.has_evidence |= gives;
        let is_compliance = changed.case_type == "compliance" && changed.enhanced_eligibility.is_some();
        if submits && is_compliance && !changed.has_acknowledged_fee() {
            let message = "You must acknowledge the network's fee before you contest a compliance dispute.";
            return Err(StripeError::invalid("evidence[enhanced_evidence]", message));
        }
        let before = self.object_of(id);
        if submits {
            changed.submission_count += 1;
            changed.has_evidence = true;
            changed.status = if changed.status.is_inquiry() {
                DisputeStatus::WarningUnderReview
            } else {
                DisputeStatus::UnderReview
            };
        }
        let (verdict, charge) = (verdict_of(&changed.evidence), changed.charge.clone());
        if let Some(dispute) = self.dispute_mut(id) {
            *dispute = changed;
        }
        act.tell_change("charge.dispute.updated", &before, self.object_of(id));
        if submits {
            self.tell_charge(act, "charge.updated", &charge);
            if let Some(verdict) = verdict {
                let due = Due::Decide { dispute: id.to_owned(), verdict };
                self.timers.add(act.now + act.settings.decision_delay, due);
            }
        }
        Ok(())
    }

    /// The merchant gives in.
    pub(crate) fn close_dispute(&mut self, act: &mut Act<'_>, id: &str) -> Result<(), StripeError> {
        let dispute = self.dispute(id).ok_or_else(|| no_such(id))?;
        let charge = dispute.charge.clone();
        match dispute.status {
            DisputeStatus::NeedsResponse => {}
            status if status.is_closed() => return Err(already_closed()),
            status => {
                let message =
                    format!("This dispute cannot be closed while its status is {}.", status.as_str());
                return Err(StripeError::invalid_request(message));
            }
        }
        self.end(act, id, DisputeStatus::Lost);
        self.tell_charge(act, "charge.updated", &charge);
        Ok(())
    }

    fn end(&mut self, act: &mut Act<'_>, id: &str, status: DisputeStatus) {
        if let Some(dispute) = self.dispute_mut(id) {
            dispute.status = status;
        }
        if status == DisputeStatus::Won {
            self.move_money(act, id, Movement::DisputeReversal);
            act.tell("charge.dispute.funds_reinstated", self.object_of(id));
        }
        act.tell("charge.dispute.closed", self.object_of(id));
    }

    /// What magic words have decided, unless something else has come first.
    pub(super) fn decide_if_waiting(&mut self, act: &mut Act<'_>, id: &str, verdict: Verdict) {
        let status = self.dispute(id).map(Dispute::status);
        match (status, verdict) {
            (Some(DisputeStatus::UnderReview), Verdict::Won) => self.end(act, id, DisputeStatus::Won),
            (Some(DisputeStatus::UnderReview), Verdict::Lost) => self.end(act, id, DisputeStatus::Lost),
            (Some(DisputeStatus::WarningUnderReview), Verdict::Escalated) => self.escalate(act, id),
            (Some(DisputeStatus::WarningUnderReview), Verdict::Won | Verdict::Lost) => {
                self.end(act, id, DisputeStatus::WarningClosed);
            }
            _ => {}
        }
    }

    /// An inquiry becomes a chargeback under the same id, and needs another answer.
    fn escalate(&mut self, act: &mut Act<'_>, id: &str) {
        let before = self.object_of(id);
        let Some(dispute) = self.dispute_mut(id) else { return };
        let due_by = usual_deadline(act.now);
        dispute.status = DisputeStatus::NeedsResponse;
        "chargeback".clone_into(&mut dispute.case_type);
        dispute.due_by = Some(due_by);
        let charge = dispute.charge.clone();
        if dispute.network_code.as_deref() == Some("10") {
            dispute.network_code = Some("10.4".to_owned());
        }
        self.fail_refunds_under_way(act, &charge);
        self.move_money(act, id, Movement::DisputeWithdrawal);
        act.tell_change("charge.dispute.updated", &before, self.object_of(id));
        act.tell("charge.dispute.funds_withdrawn", self.object_of(id));
        self.expect_answer(id, Some(due_by));
    }

    pub(super) fn deadline_passes(&mut self, act: &mut Act<'_>, id: &str, due_by: i64) {
        let waits = self.dispute(id).is_some_and(|dispute| {
            dispute.status == DisputeStatus::NeedsResponse && dispute.due_by == Some(due_by)
        });
        if waits {
            self.end(act, id, DisputeStatus::Lost);
        }
    }

    pub(super) fn inquiry_stayed_quiet(&mut self, act: &mut Act<'_>, id: &str) {
        let open = self.dispute(id).is_some_and(|one| one.status.is_inquiry() && !one.status.is_closed());
        if open {
            self.end(act, id, DisputeStatus::WarningClosed);
        }
    }

    /// A full refund ends the inquiries about a charge.
    pub(super) fn close_refunded_inquiries(&mut self, act: &mut Act<'_>, charge_id: &str) {
        let Some(charge) = self.charge(charge_id).filter(|charge| charge.unrefunded() == 0) else { return };
        for id in charge.disputes.clone() {
            self.inquiry_stayed_quiet(act, &id);
        }
    }

    /// The issuer decides, whatever was sent to it; a lost dispute may still be won. `false` where that cannot be.
    pub(crate) fn decide(&mut self, act: &mut Act<'_>, id: &str, to: DisputeStatus) -> bool {
        let Some(from) = self.dispute(id).map(Dispute::status) else { return false };
        let open_chargeback = matches!(from, DisputeStatus::NeedsResponse | DisputeStatus::UnderReview);
        let open_inquiry = from.is_inquiry() && !from.is_closed();
        match to {
            DisputeStatus::Won if open_chargeback || from == DisputeStatus::Lost => self.end(act, id, to),
            DisputeStatus::Lost if open_chargeback => self.end(act, id, to),
            DisputeStatus::WarningClosed if open_inquiry => self.end(act, id, to),
            DisputeStatus::NeedsResponse if open_inquiry => self.escalate(act, id),
            _ => return false,
        }
        true
    }
}
