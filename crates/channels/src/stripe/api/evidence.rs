//! Evidence for a dispute: its fields, and how it is staged and submitted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::words::closed_words;
use super::dispute::Dispute;
use super::{Form, Kept, StripeClient, StripeError};

/// The most characters that all texts of a dispute may have together.
pub const MOST_EVIDENCE_CHARS: usize = 150_000;

closed_words! {
    /// The fields that hold a text.
    pub enum TextField {
        /// What the customer did in the service, with times and addresses.
        AccessActivityLog = "access_activity_log",
        /// Where the customer's bills go.
        BillingAddress = "billing_address",
        /// How the customer was shown the policy on cancelling.
        CancellationPolicyDisclosure = "cancellation_policy_disclosure",
        /// Why the subscription was not cancelled.
        CancellationRebuttal = "cancellation_rebuttal",
        /// The customer's e-mail address.
        CustomerEmailAddress = "customer_email_address",
        /// The customer's name.
        CustomerName = "customer_name",
        /// The network address that the customer bought from.
        CustomerPurchaseIp = "customer_purchase_ip",
        /// How the two charges differ.
        DuplicateChargeExplanation = "duplicate_charge_explanation",
        /// The charge that looks like a duplicate.
        DuplicateChargeId = "duplicate_charge_id",
        /// What was sold.
        ProductDescription = "product_description",
        /// How the customer was shown the policy on refunds.
        RefundPolicyDisclosure = "refund_policy_disclosure",
        /// Why there is no refund.
        RefundRefusalExplanation = "refund_refusal_explanation",
        /// When the service was given, as a text.
        ServiceDate = "service_date",
        /// Where it was sent to.
        ShippingAddress = "shipping_address",
        /// Who carried it.
        ShippingCarrier = "shipping_carrier",
        /// When it was sent, as a text.
        ShippingDate = "shipping_date",
        /// The carrier's number.
        ShippingTrackingNumber = "shipping_tracking_number",
        /// Anything else.
        UncategorizedText = "uncategorized_text",
    }
}

impl TextField {
    /// The most characters that Stripe takes.
    pub fn most_chars(self) -> usize {
        match self {
            Self::AccessActivityLog
            | Self::CancellationPolicyDisclosure
            | Self::CancellationRebuttal
            | Self::DuplicateChargeExplanation
            | Self::ProductDescription
            | Self::RefundPolicyDisclosure
            | Self::RefundRefusalExplanation
            | Self::UncategorizedText => 20_000,
            Self::BillingAddress
            | Self::CustomerEmailAddress
            | Self::CustomerName
            | Self::CustomerPurchaseIp
            | Self::DuplicateChargeId
            | Self::ServiceDate
            | Self::ShippingAddress
            | Self::ShippingCarrier
            | Self::ShippingDate
            | Self::ShippingTrackingNumber => 5_000,
        }
    }
}

closed_words! {
    /// The fields that hold the id of an uploaded file, one each.
    pub enum FileField {
        /// The policy on cancelling.
        CancellationPolicy = "cancellation_policy",
        /// Letters to and from the customer.
        CustomerCommunication = "customer_communication",
        /// The customer's signature.
        CustomerSignature = "customer_signature",
        /// Papers of the charge that looks like a duplicate.
        DuplicateChargeDocumentation = "duplicate_charge_documentation",
        /// The receipt.
        Receipt = "receipt",
        /// The policy on refunds.
        RefundPolicy = "refund_policy",
        /// Proof of a service.
        ServiceDocumentation = "service_documentation",
        /// Proof of delivery.
        ShippingDocumentation = "shipping_documentation",
        /// Anything else.
        UncategorizedFile = "uncategorized_file",
    }
}

/// The evidence that a dispute holds. Fields without a value are absent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Evidence(Map<String, Value>);

impl Evidence {
    /// A text.
    pub fn text(&self, field: TextField) -> Option<&str> {
        self.0.get(field.as_str())?.as_str()
    }

    /// A file's id.
    pub fn file(&self, field: FileField) -> Option<&str> {
        let value = self.0.get(field.as_str())?;
        value.as_str().or_else(|| value.get("id")?.as_str())
    }

    /// What is given under the rules of a network; `None` where there is nothing.
    pub fn enhanced(&self) -> Option<&Map<String, Value>> {
        self.0.get("enhanced_evidence")?.as_object().filter(|enhanced| !enhanced.is_empty())
    }

    /// Every field that Stripe sent, those without a value as null.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// A change of a dispute's evidence.
///
/// Stripe keeps what is not named here; an empty text takes a value away. A submission sends everything that
/// Stripe holds, not only what comes with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DisputeUpdate {
    /// Texts.
    pub texts: BTreeMap<TextField, String>,
    /// Ids of uploaded files.
    pub files: BTreeMap<FileField, String>,
    /// `enhanced_evidence`: an object that nests as Stripe's documentation says, or an empty text that clears it.
    pub enhanced: Option<Value>,
    /// The merchant's own notes; an empty value takes the key away.
    pub metadata: BTreeMap<String, String>,
    /// Whether this is the submission, which there is only one of. `false` stages the evidence.
    pub submit: bool,
}

impl DisputeUpdate {
    fn form(&self) -> Form {
        let mut form = Form::default();
        for (field, text) in &self.texts {
            form.text(format!("evidence[{}]", field.as_str()), text);
        }
        for (field, file) in &self.files {
            form.text(format!("evidence[{}]", field.as_str()), file);
        }
        form.nested("evidence[enhanced_evidence]", self.enhanced.as_ref().unwrap_or(&Value::Null));
        form.metadata(&self.metadata);
        // Stripe submits when this is left out.
        form.text("submit", self.submit.to_string());
        form
    }
}

impl StripeClient {
    /// Stages or submits evidence. A submission is best made with [`StripeClient::once`].
    pub async fn update_dispute(
        &self,
        id: &str,
        update: &DisputeUpdate,
        idempotency_key: &str,
    ) -> Result<Kept<Dispute>, StripeError> {
        let operation = if update.submit { "submit_dispute" } else { "stage_dispute" };
        self.change(operation, &["disputes", id], &update.form(), idempotency_key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_27_fields() {
        let names: std::collections::BTreeSet<_> = TextField::ALL
            .iter()
            .map(|field| field.as_str())
            .chain(FileField::ALL.iter().map(|field| field.as_str()))
            .collect();
        assert_eq!((names.len(), TextField::ALL.len(), FileField::ALL.len()), (27, 18, 9));
        let long = TextField::ALL.iter().filter(|field| field.most_chars() == 20_000).count();
        assert_eq!(long, 8);
        assert_eq!(TextField::from_word("service_date"), Some(TextField::ServiceDate));
        assert_eq!(FileField::from_word("service_date"), None);
    }
}
