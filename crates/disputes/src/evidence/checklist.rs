//! What a dispute calls for, by its reason and by what was sold.

use std::collections::BTreeSet;

use payops_platform::error::Text;
use sea_orm::sea_query::StringLen;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::EvidenceKind::{
    self, CancellationPolicy, Communication, CustomerSignature, DuplicateChargeDocumentation, Receipt,
    RefundPolicy, ServiceDocumentation, ShippingProof,
};
use super::TextField::{
    self, AccessActivityLog, BillingAddress, CancellationPolicyDisclosure, CancellationRebuttal,
    CustomerEmailAddress, CustomerName, CustomerPurchaseIp, DuplicateChargeExplanation, DuplicateChargeId,
    ProductDescription, RefundPolicyDisclosure, RefundRefusalExplanation, ServiceDate, ShippingAddress,
    ShippingCarrier, ShippingDate, ShippingTrackingNumber, UncategorizedText,
};

/// What was sold.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ProductType {
    /// Goods that are sent.
    #[default]
    Physical,
    /// Something used over the network.
    Digital,
    /// Something done in person.
    OfflineService,
}

/// One piece of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// A file of this kind.
    File(EvidenceKind),
    /// A text.
    Text(TextField),
    /// The merchant accepts the network's fee for contesting a compliance case.
    FeeAcknowledged,
}

impl Item {
    /// The name in the API: that of the kind or of the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File(kind) => kind.as_str(),
            Self::Text(field) => field.as_str(),
            Self::FeeAcknowledged => "fee_acknowledged",
        }
    }

    /// The name for people.
    pub fn label(self) -> Text {
        match self {
            Self::File(kind) => kind.label(),
            Self::Text(field) => field.label(),
            Self::FeeAcknowledged => Text::new("acknowledgement of the network's fee", "确认承担卡组织费用"),
        }
    }
}

/// How much a piece of evidence matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// Decides disputes of this reason.
    Recommended,
    /// Helps in every dispute.
    Background,
}

/// One line of a checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChecklistItem {
    /// What is called for.
    pub item: Item,
    /// How much it matters.
    pub importance: Importance,
    /// Whether the packet has it.
    pub satisfied: bool,
}

/// What a dispute calls for, and how far the packet goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checklist {
    /// The recommended items first. No item comes twice.
    pub items: Vec<ChecklistItem>,
    /// Whether every recommended item is there.
    pub complete: bool,
}

impl Checklist {
    /// What the packet lacks.
    pub fn missing(&self) -> impl Iterator<Item = &ChecklistItem> {
        self.items.iter().filter(|line| !line.satisfied)
    }
}

struct Row {
    reasons: &'static [&'static str],
    physical: &'static [Item],
    digital: &'static [Item],
    offline_service: &'static [Item],
}

const fn file(kind: EvidenceKind) -> Item {
    Item::File(kind)
}

const fn text(field: TextField) -> Item {
    Item::Text(field)
}

/// Helps whatever the reason.
const BACKGROUND: &[Item] = &[
    file(Receipt),
    file(Communication),
    text(ProductDescription),
    text(CustomerName),
    text(CustomerEmailAddress),
    text(CustomerPurchaseIp),
    text(BillingAddress),
    text(UncategorizedText),
];

const SHIPPING: [Item; 6] = [
    text(ShippingAddress),
    text(ShippingCarrier),
    text(ShippingDate),
    text(ShippingTrackingNumber),
    file(ShippingProof),
    file(CustomerSignature),
];
const USAGE: [Item; 4] =
    [text(CustomerPurchaseIp), text(CustomerName), text(CustomerEmailAddress), text(AccessActivityLog)];
const SERVICE: [Item; 3] = [text(ServiceDate), file(ServiceDocumentation), file(CustomerSignature)];
const DUPLICATE: [Item; 3] =
    [text(DuplicateChargeId), text(DuplicateChargeExplanation), file(DuplicateChargeDocumentation)];
const CANCELLED: [Item; 4] = [
    file(CancellationPolicy),
    text(CancellationPolicyDisclosure),
    text(CancellationRebuttal),
    // The notice of renewal is part of what the customer was written.
    file(Communication),
];

/// After the processor's own guidance. A reason that is not here is treated as `general`.
const TABLE: &[Row] = &[
    Row {
        reasons: &["credit_not_processed"],
        physical: &[file(RefundPolicy), text(RefundPolicyDisclosure), text(RefundRefusalExplanation)],
        digital: &[
            file(RefundPolicy),
            text(RefundPolicyDisclosure),
            text(RefundRefusalExplanation),
            file(CancellationPolicy),
            text(CancellationPolicyDisclosure),
            text(CancellationRebuttal),
        ],
        offline_service: &[
            file(CancellationPolicy),
            text(CancellationPolicyDisclosure),
            file(RefundPolicy),
            text(RefundPolicyDisclosure),
            text(CancellationRebuttal),
            text(RefundRefusalExplanation),
        ],
    },
    Row {
        reasons: &["duplicate"],
        physical: &[DUPLICATE[0], DUPLICATE[1], DUPLICATE[2], file(ShippingProof)],
        digital: &DUPLICATE,
        offline_service: &[DUPLICATE[0], DUPLICATE[1], DUPLICATE[2], file(ServiceDocumentation)],
    },
    Row {
        reasons: &["fraudulent", "unrecognized", "product_not_received"],
        physical: &SHIPPING,
        digital: &USAGE,
        offline_service: &SERVICE,
    },
    Row {
        reasons: &["product_unacceptable"],
        physical: &[text(ProductDescription), file(RefundPolicy), text(RefundPolicyDisclosure)],
        digital: &[
            text(ProductDescription),
            file(RefundPolicy),
            text(RefundPolicyDisclosure),
            text(AccessActivityLog),
        ],
        offline_service: &[text(ProductDescription), file(RefundPolicy), text(RefundPolicyDisclosure)],
    },
    Row {
        reasons: &["subscription_canceled"],
        physical: &CANCELLED,
        digital: &[CANCELLED[0], CANCELLED[1], CANCELLED[2], CANCELLED[3], text(UncategorizedText)],
        offline_service: &[
            CANCELLED[0],
            CANCELLED[1],
            CANCELLED[2],
            CANCELLED[3],
            text(ServiceDate),
            file(ServiceDocumentation),
        ],
    },
    Row {
        reasons: &["noncompliant"],
        physical: &[Item::FeeAcknowledged, text(UncategorizedText)],
        digital: &[Item::FeeAcknowledged, text(UncategorizedText)],
        offline_service: &[Item::FeeAcknowledged, text(UncategorizedText)],
    },
    // Ask the customer what it is about, then answer that.
    Row {
        reasons: &["general"],
        physical: &[file(Communication), text(UncategorizedText)],
        digital: &[file(Communication), text(UncategorizedText)],
        offline_service: &[file(Communication), text(UncategorizedText)],
    },
];

/// What a dispute of this reason calls for, beside the background.
pub fn recommended(reason: &str, product: ProductType) -> &'static [Item] {
    let row = TABLE.iter().find(|row| row.reasons.contains(&reason)).or_else(|| TABLE.last());
    row.map_or(&[], |row| match product {
        ProductType::Physical => row.physical,
        ProductType::Digital => row.digital,
        ProductType::OfflineService => row.offline_service,
    })
}

/// Holds what is `present` against what the dispute calls for.
pub fn checklist(reason: &str, product: ProductType, present: &BTreeSet<Item>) -> Checklist {
    let recommended = recommended(reason, product);
    let line =
        |item: Item, importance| ChecklistItem { item, importance, satisfied: present.contains(&item) };
    let background = BACKGROUND.iter().filter(|item| !recommended.contains(item));
    let items: Vec<_> = (recommended.iter().map(|&item| line(item, Importance::Recommended)))
        .chain(background.map(|&item| line(item, Importance::Background)))
        .collect();
    let complete = items.iter().all(|line| line.satisfied || line.importance == Importance::Background);
    Checklist { items, complete }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRODUCTS: [ProductType; 3] =
        [ProductType::Physical, ProductType::Digital, ProductType::OfflineService];

    #[test]
    fn an_unknown_reason_is_treated_as_general() {
        for product in PRODUCTS {
            assert_eq!(recommended("a_reason_of_next_year", product), recommended("general", product));
        }
    }

    #[test]
    fn goods_that_did_not_arrive_call_for_the_way_they_went() {
        let names: Vec<_> = recommended("product_not_received", ProductType::Physical)
            .iter()
            .map(|item| item.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "shipping_address",
                "shipping_carrier",
                "shipping_date",
                "shipping_tracking_number",
                "shipping_proof",
                "customer_signature"
            ]
        );
    }

    #[test]
    fn no_item_comes_twice() {
        for row in TABLE {
            for product in PRODUCTS {
                let list = checklist(row.reasons[0], product, &BTreeSet::new());
                let distinct: BTreeSet<_> = list.items.iter().map(|line| line.item).collect();
                assert_eq!(distinct.len(), list.items.len(), "{:?} {product:?}", row.reasons);
            }
        }
    }

    #[test]
    fn a_compliance_case_is_complete_only_with_the_fee() {
        let argued = BTreeSet::from([Item::Text(UncategorizedText)]);
        assert!(!checklist("noncompliant", ProductType::Digital, &argued).complete);
        let accepted = BTreeSet::from([Item::Text(UncategorizedText), Item::FeeAcknowledged]);
        assert!(checklist("noncompliant", ProductType::Digital, &accepted).complete);
    }

    proptest! {
        #[test]
        fn what_is_recommended_and_present_is_complete_and_what_is_taken_away_is_missing(
            row in 0..TABLE.len(), product in 0..3_usize, taken in any::<prop::sample::Index>(),
        ) {
            let (reason, product) = (TABLE[row].reasons[0], PRODUCTS[product]);
            let items = recommended(reason, product);
            let mut present: BTreeSet<_> = items.iter().copied().collect();
            prop_assert!(checklist(reason, product, &present).complete);

            let taken = *taken.get(items);
            present.remove(&taken);
            let list = checklist(reason, product, &present);
            prop_assert!(!list.complete);
            prop_assert!(list.missing().any(|line| line.item == taken));
        }
    }
}
