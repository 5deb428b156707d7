//! Charges and payment intents, as far as disputes need them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::balance::Movement;
use super::cards::Behaviour;
use super::timers::Due;
use super::{Account, Act, Card, Settings};
use crate::stripe::error::StripeError;

/// Who pays, as the caller has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payer {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    /// `city`, `country`, `line1`, `line2`, `postal_code`, `state`.
    pub(crate) address: BTreeMap<String, String>,
}

/// Whether a charge is captured when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Capture {
    Automatic,
    Manual,
}

/// What a charge is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewCharge {
    pub(crate) amount: i64,
    /// Lower case.
    pub(crate) currency: String,
    pub(crate) card: Card,
    pub(crate) capture: Capture,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) payer: Payer,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A charge that succeeded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) payment_intent: Option<String>,
    pub(crate) created: i64,
    #[serde(flatten)]
    pub(crate) terms: NewCharge,
    pub(crate) captured: bool,
    pub(crate) amount_refunded: i64,
    balance_transaction: Option<String>,
    pub(crate) disputes: Vec<String>,
}

/// A payment intent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) created: i64,
    status: String,
    amount: i64,
    currency: String,
    capture: Capture,
    card: Option<Card>,
    terms: Option<NewCharge>,
    latest_charge: Option<String>,
    customer: Option<String>,
    description: Option<String>,
    receipt_email: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl Intent {
    pub(crate) fn object(&self) -> Value {
        let received = if self.status == "succeeded" { self.amount } else { 0 };
        let capture = if self.capture == Capture::Manual { "manual" } else { "automatic_async" };
        json!({
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": if self.status == "requires_capture" { self.amount } else { 0 },
            "amount_received": received,
            "capture_method": capture,
            "client_secret": format!("{}_secret_sandbox", self.id),
            "confirmation_method": "automatic",
            "created": self.created,
            "currency": self.currency,
            "customer": self.customer,
            "description": self.description,
            "latest_charge": self.latest_charge,
            "livemode": false,
            "metadata": self.metadata,
            "next_action": null,
            "payment_method": self.card.as_ref().map(|card| format!("pm_card_{}", card.last4())),
            "payment_method_types": ["card"],
            "receipt_email": self.receipt_email,
            "status": self.status,
        })
    }

    pub(crate) fn latest_charge(&self) -> Option<&str> {
        self.latest_charge.as_deref()
    }
}

impl Charge {
    pub(crate) fn unrefunded(&self) -> i64 {
        self.terms.amount - self.amount_refunded
    }

    fn card_object(&self) -> Value {
        let card = &self.terms.card;
        json!({
            "amount_authorized": self.terms.amount,
            "brand": card.brand(),
            "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
            "country": "US",
            "exp_month": 12,
            "exp_year": 2034,
            "fingerprint": format!("sandbox{}", card.last4()),
            "funding": "credit",
            "last4": card.last4(),
            "network": card.brand(),
            "three_d_secure": null,
        })
    }

    pub(crate) fn object(&self, settings: &Settings) -> Value {
        let terms = &self.terms;
        let part = |name: &str| terms.payer.address.get(name);
        json!({
            "id": self.id,
            "object": "charge",
            "amount": terms.amount,
            "amount_captured": if self.captured { terms.amount } else { 0 },
            "amount_refunded": self.amount_refunded,
            "balance_transaction": self.balance_transaction,
            "billing_details": {
                "address": {
                    "city": part("city"), "country": part("country"), "line1": part("line1"),
                    "line2": part("line2"), "postal_code": part("postal_code"), "state": part("state"),
                },
                "email": terms.payer.email,
                "name": terms.payer.name,
                "phone": terms.payer.phone,
            },
            "captured": self.captured,
            "created": self.created,
            "currency": terms.currency,
            "customer": terms.customer,
            "description": terms.description,
            "disputed": !self.disputes.is_empty(),
            "failure_code": null,
            "failure_message": null,
            "livemode": false,
            "metadata": terms.metadata,
            "outcome": {
                "network_status": "approved_by_network", "reason": null, "risk_level": "normal",
                "seller_message": "Payment complete.", "type": "authorized",
            },
            "paid": true,
            "payment_intent": self.payment_intent,
            "payment_method": format!("pm_card_{}", terms.card.last4()),
            "payment_method_details": { "card": self.card_object(), "type": "card" },
            "receipt_email": terms.receipt_email,
            "receipt_url": format!("{}/receipts/{}", settings.base_url, self.id),
            "refunded": self.unrefunded() == 0,
            "status": "succeeded",
        })
    }
}

impl Account {
    /// Makes a charge; the card decides what follows from it.
    pub(crate) fn make_charge(
        &mut self,
        act: &mut Act<'_>,
        terms: NewCharge,
        intent: Option<&str>,
    ) -> Result<String, StripeError> {
        Self::room(self.charges.len(), "charges")?;
        let id = act.id("ch_3");
        if terms.card.behaviour() == Behaviour::Declines {
            return Err(StripeError::card_declined(&id));
        }
        let captures = terms.capture == Capture::Automatic;
        self.place(&id, self.charges.len());
        self.charges.push(Charge {
            id: id.clone(),
            payment_intent: intent.map(str::to_owned),
            created: act.seconds(),
            terms,
            captured: false,
            amount_refunded: 0,
            balance_transaction: None,
            disputes: Vec::new(),
        });
        if captures {
            self.capture(act, &id)?;
        }
        self.tell_charge(act, "charge.succeeded", &id);
        Ok(id)
    }

    /// Captures a charge that was only authorised. Only then is there something to dispute.
    pub(crate) fn capture(&mut self, act: &mut Act<'_>, id: &str) -> Result<(), StripeError> {
        let charge = self.charge(id).ok_or_else(|| StripeError::no_such_object("charge", "charge", id))?;
        if charge.captured {
            let message = format!("Charge {id} has already been captured.");
            return Err(StripeError::invalid_request(message).with_code("charge_already_captured"));
        }
        let (amount, currency) = (charge.terms.amount, charge.terms.currency.clone());
        let row = self.book(act, Movement::Charge, (amount, &currency), id, id);
        let at = act.now + act.settings.dispute_delay;
        if let Some(charge) = self.charge_mut(id) {
            charge.captured = true;
            charge.balance_transaction = Some(row);
            let charge = id.to_owned();
            match self.charge(id).map_or(Behaviour::Pays, |charge| charge.terms.card.behaviour()) {
                Behaviour::Pays | Behaviour::Declines => {}
                Behaviour::Disputes | Behaviour::Inquires => {
                    self.timers.add(at, Due::Dispute { charge, share: 100, more: 0 });
                }
                Behaviour::DisputesTwice => self.timers.add(at, Due::Dispute { charge, share: 50, more: 1 }),
                Behaviour::WarnsOfFraud => self.timers.add(at, Due::Warning { charge }),
            }
        }
        Ok(())
    }

    pub(super) fn tell_charge(&self, act: &mut Act<'_>, kind: &'static str, id: &str) {
        if let Some(charge) = self.charge(id) {
            act.tell(kind, charge.object(act.settings));
        }
    }

    /// Makes a payment intent, which waits for a payment method or a confirmation.
    pub(crate) fn make_intent(
        &mut self,
        act: &mut Act<'_>,
        (amount, currency): (i64, String),
        mut terms: Option<NewCharge>,
        capture: Capture,
    ) -> Result<String, StripeError> {
        Self::room(self.intents.len(), "payment intents")?;
        let id = act.id("pi_3");
        if let Some(terms) = &mut terms {
            terms.capture = capture;
        }
        self.place(&id, self.intents.len());
        self.intents.push(Intent {
            id: id.clone(),
            created: act.seconds(),
            status: if terms.is_some() { "requires_confirmation" } else { "requires_payment_method" }
                .to_owned(),
            amount,
            currency,
            capture,
            card: terms.as_ref().map(|terms| terms.card.clone()),
            customer: terms.as_ref().and_then(|terms| terms.customer.clone()),
            description: terms.as_ref().and_then(|terms| terms.description.clone()),
            receipt_email: terms.as_ref().and_then(|terms| terms.receipt_email.clone()),
            metadata: terms.as_ref().map(|terms| terms.metadata.clone()).unwrap_or_default(),
            latest_charge: None,
            terms,
        });
        self.tell_intent(act, "payment_intent.created", &id);
        Ok(id)
    }

    /// Charges for an intent, with `card` in place of the one that it has.
    pub(crate) fn confirm(
        &mut self,
        act: &mut Act<'_>,
        id: &str,
        card: Option<Card>,
    ) -> Result<(), StripeError> {
        let intent =
            self.intent(id).ok_or_else(|| StripeError::no_such_object("payment_intent", "intent", id))?;
        if matches!(intent.status.as_str(), "succeeded" | "requires_capture") {
            return Err(unexpected_state(&intent.status));
        }
        let Some(mut terms) = intent.terms.clone() else {
            return Err(StripeError::invalid_request(
                "You cannot confirm this PaymentIntent because it's missing a payment method. Create it with a \
                 payment method.",
            )
            .with_code("payment_intent_unexpected_state"));
        };
        if let Some(card) = card {
            terms.card = card;
        }
        let (card, manual) = (terms.card.clone(), terms.capture == Capture::Manual);
        let charge = self.make_charge(act, terms, Some(id));
        if let Some(intent) = self.intent_mut(id) {
            intent.card = Some(card);
            match &charge {
                Ok(charge) => {
                    let status = if manual { "requires_capture" } else { "succeeded" };
                    status.clone_into(&mut intent.status);
                    intent.latest_charge = Some(charge.clone());
                }
                Err(_) => "requires_payment_method".clone_into(&mut intent.status),
            }
        }
        let kind = match (&charge, manual) {
            (Err(_), _) => "payment_intent.payment_failed",
            (Ok(_), true) => "payment_intent.amount_capturable_updated",
            (Ok(_), false) => "payment_intent.succeeded",
        };
        self.tell_intent(act, kind, id);
        charge.map(drop)
    }

    /// Captures what an intent has authorised.
    pub(crate) fn capture_intent(&mut self, act: &mut Act<'_>, id: &str) -> Result<(), StripeError> {
        let intent =
            self.intent(id).ok_or_else(|| StripeError::no_such_object("payment_intent", "intent", id))?;
        let charge = intent.latest_charge.clone().filter(|_| intent.status == "requires_capture");
        let charge = charge.ok_or_else(|| unexpected_state(&intent.status))?;
        self.capture(act, &charge)?;
        if let Some(intent) = self.intent_mut(id) {
            "succeeded".clone_into(&mut intent.status);
        }
        self.tell_charge(act, "charge.captured", &charge);
        self.tell_intent(act, "payment_intent.succeeded", id);
        Ok(())
    }

    fn tell_intent(&self, act: &mut Act<'_>, kind: &'static str, id: &str) {
        if let Some(intent) = self.intent(id) {
            act.tell(kind, intent.object());
        }
    }
}

fn unexpected_state(status: &str) -> StripeError {
    let message = format!("This PaymentIntent cannot be used so because it has a status of {status}.");
    StripeError::invalid_request(message).with_code("payment_intent_unexpected_state")
}
