//! Disputes as Stripe shows them.

use std::collections::BTreeMap;

use payops_core::currency::Currency;
use payops_core::money::Money;
use payops_core::time::Timestamp;
use serde::Deserialize;

use super::super::words::open_words;
use super::balance::BalanceTransaction;
use super::evidence::Evidence;
use super::list::{Listed, Listing};
use super::tolerant::{id, id_or_none, or_default, time_or_none};
use super::{Form, Kept, Page, StripeClient, StripeError};

/// A dispute of one payment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Dispute {
    /// Its id, `du_…` or `dp_…`.
    pub id: String,
    /// What is disputed, in minor units of `currency` as Stripe counts them. May be more or less than the charge.
    pub amount: i64,
    /// The currency of the charge.
    pub currency: Currency,
    /// None, one or two: what was withdrawn, and what came back. In the currency of settlement.
    #[serde(default, deserialize_with = "or_default")]
    pub balance_transactions: Vec<BalanceTransaction>,
    /// The charge's id.
    #[serde(deserialize_with = "id")]
    pub charge: String,
    /// The id of the charge's payment intent, if it has one.
    #[serde(default, deserialize_with = "id_or_none")]
    pub payment_intent: Option<String>,
    /// When it was opened.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created: Timestamp,
    /// Whether real money is at stake.
    #[serde(default)]
    pub livemode: bool,
    /// The merchant's own notes on it.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
    /// What is staged or was submitted, and what Stripe filled in by itself.
    #[serde(default, deserialize_with = "or_default")]
    pub evidence: Evidence,
    /// The deadline, and how much was submitted.
    #[serde(default, deserialize_with = "or_default")]
    pub evidence_details: EvidenceDetails,
    /// The rules that enhanced evidence may be given under.
    #[serde(default, deserialize_with = "or_default")]
    pub enhanced_eligibility_types: Vec<EnhancedEligibilityType>,
    /// Whether the charge can still be refunded, which ends an inquiry.
    #[serde(default)]
    pub is_charge_refundable: bool,
    /// How it was paid, and what the network says about the dispute.
    pub payment_method_details: Option<PaymentMethodDetails>,
    /// Why the payer disputes it.
    pub reason: DisputeReason,
    /// How far it is.
    pub status: DisputeStatus,
}

impl Dispute {
    /// What is disputed.
    pub fn money(&self) -> Money {
        Money::new(self.amount, self.currency)
    }

    /// The card network's code of the reason, such as `10.4`.
    pub fn network_reason_code(&self) -> Option<&str> {
        self.payment_method_details.as_ref()?.card.as_ref()?.network_reason_code.as_deref()
    }
}

impl Listed for Kept<Dispute> {
    fn id(&self) -> &str {
        &self.object.id
    }
}

open_words! {
    /// How far a dispute is.
    pub enum DisputeStatus {
        /// An inquiry that waits for an answer. No money has moved.
        WarningNeedsResponse = "warning_needs_response",
        /// An inquiry that was answered.
        WarningUnderReview = "warning_under_review",
        /// An inquiry that came to nothing.
        WarningClosed = "warning_closed",
        /// A chargeback that waits for an answer.
        NeedsResponse = "needs_response",
        /// A chargeback that was answered.
        UnderReview = "under_review",
        /// Decided for the merchant.
        Won = "won",
        /// Decided for the payer.
        Lost = "lost",
        /// Settled by a rule before it became a dispute.
        Prevented = "prevented",
    }
}

open_words! {
    /// Why a payer disputes a payment.
    pub enum DisputeReason {
        /// The bank cannot process it.
        BankCannotProcess = "bank_cannot_process",
        /// A check was returned.
        CheckReturned = "check_returned",
        /// A promised refund did not come.
        CreditNotProcessed = "credit_not_processed",
        /// The customer asked the bank for it.
        CustomerInitiated = "customer_initiated",
        /// The direct debit was not authorised.
        DebitNotAuthorized = "debit_not_authorized",
        /// Charged twice.
        Duplicate = "duplicate",
        /// Not made by the card's holder.
        Fraudulent = "fraudulent",
        /// In no other class.
        General = "general",
        /// The account's details are wrong.
        IncorrectAccountDetails = "incorrect_account_details",
        /// The account lacks the money.
        InsufficientFunds = "insufficient_funds",
        /// Against the network's rules.
        Noncompliant = "noncompliant",
        /// Nothing arrived.
        ProductNotReceived = "product_not_received",
        /// It arrived, but not as described.
        ProductUnacceptable = "product_unacceptable",
        /// Charged after a cancellation.
        SubscriptionCanceled = "subscription_canceled",
        /// The payer does not know the charge.
        Unrecognized = "unrecognized",
    }
}

open_words! {
    /// What a dispute of a card payment is to the network.
    pub enum CaseType {
        /// Stopped before it became a dispute; no money moved.
        Block = "block",
        /// Money is taken back.
        Chargeback = "chargeback",
        /// A claim that rules were broken.
        Compliance = "compliance",
        /// A question of the issuer.
        Inquiry = "inquiry",
        /// Refunded by a rule.
        Resolution = "resolution",
    }
}

open_words! {
    /// A rule that enhanced evidence may be given under.
    pub enum EnhancedEligibilityType {
        /// Visa's compelling evidence 3.0.
        VisaCompellingEvidence3 = "visa_compelling_evidence_3",
        /// Visa's compliance.
        VisaCompliance = "visa_compliance",
        /// Mastercard's compliance.
        MastercardCompliance = "mastercard_compliance",
    }
}

/// The deadline of a dispute, and how much was submitted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct EvidenceDetails {
    /// By when evidence is to be submitted. `None` (0 or null at Stripe): no answer is expected or allowed.
    #[serde(default, deserialize_with = "time_or_none")]
    pub due_by: Option<Timestamp>,
    /// Whether evidence is staged or was submitted.
    #[serde(default)]
    pub has_evidence: bool,
    /// Whether the last submission came after `due_by`.
    #[serde(default)]
    pub past_due: bool,
    /// How often evidence was submitted.
    #[serde(default)]
    pub submission_count: u32,
    /// How far the rules for enhanced evidence are met.
    #[serde(default, deserialize_with = "or_default")]
    pub enhanced_eligibility: EnhancedEligibility,
}

/// How far the rules for enhanced evidence are met; a rule that does not apply is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct EnhancedEligibility {
    /// Visa's compelling evidence 3.0.
    pub visa_compelling_evidence_3: Option<CompellingEvidence>,
    /// Visa's compliance.
    pub visa_compliance: Option<Compliance>,
    /// Mastercard's compliance.
    pub mastercard_compliance: Option<Compliance>,
}

/// How far Visa's compelling evidence 3.0 is met.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CompellingEvidence {
    /// Whether the evidence qualifies.
    pub status: CompellingEvidenceStatus,
    /// What is missing, in Stripe's words.
    #[serde(default, deserialize_with = "or_default")]
    pub required_actions: Vec<String>,
}

open_words! {
    /// Whether evidence qualifies for Visa's compelling evidence 3.0.
    pub enum CompellingEvidenceStatus {
        /// It does not.
        NotQualified = "not_qualified",
        /// It does.
        Qualified = "qualified",
        /// It will, once something is done.
        RequiresAction = "requires_action",
    }
}

/// How far a dispute about compliance can be contested.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Compliance {
    /// Whether the network's fee was acknowledged.
    pub status: ComplianceStatus,
}

open_words! {
    /// Whether the network's fee for contesting was acknowledged.
    pub enum ComplianceStatus {
        /// Not yet.
        RequiresFeeAcknowledgement = "requires_fee_acknowledgement",
        /// It was.
        FeeAcknowledged = "fee_acknowledged",
    }
}

/// How a disputed payment was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PaymentMethodDetails {
    /// Such as `card`, `klarna`, `paypal`, `amazon_pay`; one of the fields below has that name.
    #[serde(rename = "type")]
    pub kind: String,
    /// By card.
    pub card: Option<DisputedCard>,
    /// By PayPal.
    pub paypal: Option<DisputedPayPal>,
    /// By Klarna.
    pub klarna: Option<DisputedKlarna>,
    /// By Amazon Pay.
    pub amazon_pay: Option<DisputedAmazonPay>,
}

/// A disputed payment by card.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DisputedCard {
    /// Such as `visa`.
    pub brand: Option<String>,
    /// What it is to the network.
    pub case_type: Option<CaseType>,
    /// The network that it went through, where Stripe says it.
    pub network: Option<String>,
    /// The network's code of the reason, such as `10.4`.
    pub network_reason_code: Option<String>,
}

/// A disputed payment by PayPal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DisputedPayPal {
    /// PayPal's id of the case.
    pub case_id: Option<String>,
    /// PayPal's code of the reason.
    pub reason_code: Option<String>,
}

/// A disputed payment by Klarna.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DisputedKlarna {
    /// Why it was lost.
    pub chargeback_loss_reason_code: Option<String>,
    /// Klarna's code of the reason.
    pub reason_code: Option<String>,
}

/// A disputed payment by Amazon Pay.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DisputedAmazonPay {
    /// `chargeback` or `claim`.
    pub dispute_type: Option<String>,
}

/// Which disputes are listed. Stripe has no filter by status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DisputeQuery {
    /// The stretch of the list.
    pub listing: Listing,
    /// Those of one charge.
    pub charge: Option<String>,
    /// Those of one payment intent.
    pub payment_intent: Option<String>,
}

impl DisputeQuery {
    fn filter(&self) -> Form {
        let mut filter = Form::default();
        filter.optional("charge", self.charge.as_ref());
        filter.optional("payment_intent", self.payment_intent.as_ref());
        filter
    }
}

impl StripeClient {
    /// A dispute as it is now.
    pub async fn dispute(&self, id: &str) -> Result<Kept<Dispute>, StripeError> {
        self.read("retrieve_dispute", &["disputes", id], &Form::default()).await
    }

    /// One page of disputes, newest first.
    pub async fn disputes_page(&self, query: &DisputeQuery) -> Result<Page<Kept<Dispute>>, StripeError> {
        self.page("list_disputes", &["disputes"], query.filter(), &query.listing).await
    }

    /// All disputes from the start of the listing on, newest first, page by page as they are taken.
    pub fn disputes(
        &self,
        query: &DisputeQuery,
    ) -> impl futures::Stream<Item = Result<Kept<Dispute>, StripeError>> + Send + use<> {
        self.pages("list_disputes", &["disputes"], query.filter(), query.listing.clone())
    }

    /// Concedes a dispute, which is lost at once and for good. See [`StripeClient::once`].
    pub async fn close_dispute(&self, id: &str, idempotency_key: &str) -> Result<Kept<Dispute>, StripeError> {
        self.change("close_dispute", &["disputes", id, "close"], &Form::default(), idempotency_key).await
    }
}
