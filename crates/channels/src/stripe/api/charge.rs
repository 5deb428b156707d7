//! Charges and payment intents: where a disputed payment came from.

use std::collections::BTreeMap;

use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use serde::Deserialize;

use super::tolerant::{id_or_none, or_default};
use super::{Form, Kept, StripeClient, StripeError};

/// A charge. Amounts are minor units of `currency` as Stripe counts them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Charge {
    /// Its id, `ch_…`.
    pub id: String,
    /// What was charged.
    pub amount: i64,
    /// What of it was captured.
    #[serde(default)]
    pub amount_captured: i64,
    /// What of it was refunded.
    #[serde(default)]
    pub amount_refunded: i64,
    /// The currency of the payment.
    pub currency: Currency,
    /// When it was made.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created: Timestamp,
    /// Such as `succeeded`.
    pub status: Option<String>,
    /// Whether the money was taken and not only reserved.
    #[serde(default)]
    pub captured: bool,
    /// Whether all of it was refunded.
    #[serde(default)]
    pub refunded: bool,
    /// Whether it is or was disputed.
    #[serde(default)]
    pub disputed: bool,
    /// Whether real money moved.
    #[serde(default)]
    pub livemode: bool,
    /// The id of its payment intent.
    #[serde(default, deserialize_with = "id_or_none")]
    pub payment_intent: Option<String>,
    /// The id of its customer.
    #[serde(default, deserialize_with = "id_or_none")]
    pub customer: Option<String>,
    /// The id of its row in the ledger.
    #[serde(default, deserialize_with = "id_or_none")]
    pub balance_transaction: Option<String>,
    /// The merchant's own notes, where the payment's number is looked for.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
    /// Who paid.
    #[serde(default, deserialize_with = "or_default")]
    pub billing_details: BillingDetails,
    /// Where it was sent to.
    pub shipping: Option<Shipping>,
    /// What was sold, in the merchant's words.
    pub description: Option<String>,
    /// What the payer's statement shows.
    pub calculated_statement_descriptor: Option<String>,
    /// Where the receipt was sent.
    pub receipt_email: Option<String>,
    /// The receipt's number.
    pub receipt_number: Option<String>,
    /// Where the receipt can be seen.
    pub receipt_url: Option<String>,
    /// How it was paid.
    pub payment_method_details: Option<ChargeMethod>,
    /// What Stripe and the issuer thought of it.
    pub outcome: Option<Outcome>,
}

/// Who paid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct BillingDetails {
    /// Where the bills go.
    pub address: Option<Address>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The telephone number.
    pub phone: Option<String>,
}

/// A postal address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Address {
    /// Street, first line.
    pub line1: Option<String>,
    /// Street, second line.
    pub line2: Option<String>,
    /// Town.
    pub city: Option<String>,
    /// State or province.
    pub state: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Country, two letters.
    pub country: Option<String>,
}

/// Where goods were sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Shipping {
    /// To which address.
    pub address: Option<Address>,
    /// To whom.
    pub name: Option<String>,
    /// The receiver's telephone number.
    pub phone: Option<String>,
    /// By whom.
    pub carrier: Option<String>,
    /// The carrier's number.
    pub tracking_number: Option<String>,
}

/// How a charge was paid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChargeMethod {
    /// Such as `card`.
    #[serde(rename = "type")]
    pub kind: String,
    /// By card.
    pub card: Option<ChargedCard>,
}

/// The card that paid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChargedCard {
    /// Such as `visa`.
    pub brand: Option<String>,
    /// Its last digits.
    pub last4: Option<String>,
    /// The same for every use of one card number.
    pub fingerprint: Option<String>,
    /// The issuer's country, two letters.
    pub country: Option<String>,
    /// Such as `credit`.
    pub funding: Option<String>,
    /// The network that it went through.
    pub network: Option<String>,
    /// What the issuer checked.
    pub checks: Option<CardChecks>,
    /// How the payer was authenticated, if at all.
    pub three_d_secure: Option<ThreeDSecure>,
}

/// What an issuer checked; each is `pass`, `fail`, `unavailable` or `unchecked`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CardChecks {
    /// The address.
    pub address_line1_check: Option<String>,
    /// The postal code.
    pub address_postal_code_check: Option<String>,
    /// The security code.
    pub cvc_check: Option<String>,
}

/// How a payer was authenticated by 3-D Secure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ThreeDSecure {
    /// Such as `authenticated`.
    pub result: Option<String>,
    /// `challenge` or `frictionless`.
    pub authentication_flow: Option<String>,
    /// The network's indicator, such as `05`.
    pub electronic_commerce_indicator: Option<String>,
    /// The version of 3-D Secure.
    pub version: Option<String>,
}

/// What Stripe and the issuer thought of a charge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Outcome {
    /// Such as `approved_by_network`.
    pub network_status: Option<String>,
    /// Such as `normal`, `elevated`, `highest`.
    pub risk_level: Option<String>,
    /// From 0 to 100, where the account is shown it.
    pub risk_score: Option<i64>,
}

/// A payment intent. Amounts are minor units of `currency` as Stripe counts them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PaymentIntent {
    /// Its id, `pi_…`.
    pub id: String,
    /// What is to be paid.
    pub amount: i64,
    /// What was paid.
    #[serde(default)]
    pub amount_received: i64,
    /// The currency of the payment.
    pub currency: Currency,
    /// When it was made.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created: Timestamp,
    /// Such as `succeeded`.
    pub status: Option<String>,
    /// The id of its newest charge.
    #[serde(default, deserialize_with = "id_or_none")]
    pub latest_charge: Option<String>,
    /// The id of its customer.
    #[serde(default, deserialize_with = "id_or_none")]
    pub customer: Option<String>,
    /// The merchant's own notes, where the payment's number is looked for.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
    /// What was sold, in the merchant's words.
    pub description: Option<String>,
    /// Where the receipt was sent.
    pub receipt_email: Option<String>,
    /// Where it was sent to.
    pub shipping: Option<Shipping>,
}

impl StripeClient {
    /// A charge.
    pub async fn charge(&self, id: &str) -> Result<Kept<Charge>, StripeError> {
        self.read("retrieve_charge", &["charges", id], &Form::default()).await
    }

    /// A payment intent.
    pub async fn payment_intent(&self, id: &str) -> Result<Kept<PaymentIntent>, StripeError> {
        self.read("retrieve_payment_intent", &["payment_intents", id], &Form::default()).await
    }
}
