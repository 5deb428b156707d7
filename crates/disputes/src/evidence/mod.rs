//! What an answer to a dispute is made of: nine kinds of files and eighteen texts, each of which is a field of the
//! channel's dispute.
//!
//! [`checklist`] says what a dispute of this reason and product calls for, [`preflight`] whether the channel would
//! take the packet as it stands.

pub mod checklist;
mod fields;
pub mod preflight;

pub use fields::{LONG_TEXT, SHORT_TEXT, TextField};

use std::collections::BTreeMap;

use payops_platform::error::Text;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a file shows. Each kind is one file field of the channel's dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// What the customer was sent or shown when paying.
    Receipt,
    /// That the goods were sent and arrived.
    ShippingProof,
    /// What the customer and the merchant wrote to each other.
    Communication,
    /// The refund policy as the customer saw it.
    RefundPolicy,
    /// The cancellation policy as the customer saw it.
    CancellationPolicy,
    /// The customer's signature.
    CustomerSignature,
    /// That the service was given.
    ServiceDocumentation,
    /// Anything else.
    Other,
    /// That two payments are for two different things.
    DuplicateChargeDocumentation,
}

struct KindRow {
    kind: EvidenceKind,
    name: &'static str,
    stripe_field: &'static str,
    en: &'static str,
    zh: &'static str,
}

#[rustfmt::skip]
const KINDS: [KindRow; 9] = [
    row(EvidenceKind::Receipt,                      "receipt",                        "receipt",                        "receipt",                  "收据"),
    row(EvidenceKind::ShippingProof,                "shipping_proof",                 "shipping_documentation",         "proof of shipping",        "物流证明"),
    row(EvidenceKind::Communication,                "communication",                  "customer_communication",         "customer communication",   "沟通记录"),
    row(EvidenceKind::RefundPolicy,                 "refund_policy",                  "refund_policy",                  "refund policy",            "退款政策"),
    row(EvidenceKind::CancellationPolicy,           "cancellation_policy",            "cancellation_policy",            "cancellation policy",      "取消政策"),
    row(EvidenceKind::CustomerSignature,            "customer_signature",             "customer_signature",             "customer signature",       "客户签名"),
    row(EvidenceKind::ServiceDocumentation,         "service_documentation",          "service_documentation",          "service documentation",    "服务文档"),
    row(EvidenceKind::Other,                        "other",                          "uncategorized_file",             "other evidence",           "其他"),
    row(EvidenceKind::DuplicateChargeDocumentation, "duplicate_charge_documentation", "duplicate_charge_documentation", "proof of separate charges", "重复扣款说明文件"),
];

const fn row(
    kind: EvidenceKind,
    name: &'static str,
    stripe_field: &'static str,
    en: &'static str,
    zh: &'static str,
) -> KindRow {
    KindRow { kind, name, stripe_field, en, zh }
}

impl EvidenceKind {
    /// Every kind, in the order in which people are shown them.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|row| row.kind)
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        KINDS.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The field of Stripe's `evidence` that takes the file's id.
    pub fn stripe_field(self) -> &'static str {
        self.row().stripe_field
    }

    /// The name for people.
    pub fn label(self) -> Text {
        Text::new(self.row().en, self.row().zh)
    }

    fn row(self) -> &'static KindRow {
        // The table is in the order of the variants; a test holds it to that.
        &KINDS[self as usize]
    }
}

/// What the channel has by itself, in fields for which there is nothing of ours. A submission sends it as well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Given {
    /// Texts, by field.
    #[schema(value_type = BTreeMap<String, String>)]
    pub texts: BTreeMap<TextField, String>,
    /// The channel's ids of files, by kind.
    #[schema(value_type = BTreeMap<String, String>)]
    pub files: BTreeMap<EvidenceKind, String>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_has_a_field_of_its_own() {
        let mut fields = BTreeSet::new();
        for kind in EvidenceKind::all() {
            assert_eq!(EvidenceKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_name(kind), kind.as_str());
            fields.insert(kind.stripe_field());
        }
        assert_eq!(
            fields.into_iter().collect::<Vec<_>>(),
            [
                "cancellation_policy",
                "customer_communication",
                "customer_signature",
                "duplicate_charge_documentation",
                "receipt",
                "refund_policy",
                "service_documentation",
                "shipping_documentation",
                "uncategorized_file",
            ]
        );
    }

    fn serde_name(kind: EvidenceKind) -> String {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error, StrDeserializer};
        let name: StrDeserializer<'_, Error> = kind.as_str().into_deserializer();
        EvidenceKind::deserialize(name).unwrap().as_str().to_owned()
    }
}
