//! Which report types there are, and which columns each has.

use std::fmt;

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// Every balance movement except payouts, by the time it happened.
    Activity,
    /// The movements that the payouts of the interval carry.
    PayoutReconciliation,
    /// The payouts.
    Payouts,
    /// Opening, activity, payouts, ending.
    BalanceSummary,
}

/// A report type such as `balance_change_from_activity.itemized.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReportType {
    pub(crate) family: Family,
    pub(crate) version: u8,
}

impl ReportType {
    /// Every type that is offered, in the order of the list.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let versions = |family, from, to| (from..=to).map(move |version| Self { family, version });
        versions(Family::BalanceSummary, 1, 1)
            .chain(versions(Family::Activity, 1, 7))
            .chain(versions(Family::PayoutReconciliation, 1, 7))
            .chain(versions(Family::Payouts, 3, 3))
    }

    pub(crate) fn parse(id: &str) -> Option<Self> {
        Self::all().find(|known| known.to_string() == id)
    }

    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self.family {
            Family::Activity => "Itemized balance change from activity",
            Family::PayoutReconciliation => "Itemized payout reconciliation",
            Family::Payouts => "Itemized payouts",
            Family::BalanceSummary => "Balance summary",
        }
    }

    /// The first two versions of the itemised reports print UTC only.
    pub(crate) fn takes_timezone(self) -> bool {
        self.version >= 3 || self.family == Family::BalanceSummary
    }

    /// The columns that a run has when it names none.
    pub(crate) fn default_columns(self) -> Vec<String> {
        let is_default = |spec: &&Spec| spec.default && self.has(spec) && !self.leaves_out(spec.name);
        self.specs().iter().filter(is_default).map(|spec| spec.name.to_owned()).collect()
    }

    /// What the column of that name shows; `None` for a name that this version does not have.
    pub(crate) fn field(self, name: &str) -> Option<Field> {
        if let Some(spec) = self.specs().iter().find(|spec| spec.name == name && self.has(spec)) {
            return Some(spec.field);
        }
        let is_itemised = matches!(self.family, Family::Activity | Family::PayoutReconciliation);
        if !is_itemised || self.version < 2 {
            return None;
        }
        match name {
            "payment_metadata[payment_no]" => Some(Field::PaymentNo),
            _ if is_metadata(name) || EMPTY_COLUMNS.contains(&name) => Some(Field::Blank),
            _ => None,
        }
    }

    /// From the sixth version on, payout reconciliation names its payouts only when asked to.
    fn leaves_out(self, column: &str) -> bool {
        self.family == Family::PayoutReconciliation && self.version >= 6 && column == "automatic_payout_id"
    }

    fn has(self, spec: &Spec) -> bool {
        spec.since <= self.version || self.family == Family::BalanceSummary
    }

    fn specs(self) -> &'static [Spec] {
        match self.family {
            Family::Activity | Family::PayoutReconciliation => &ITEMISED,
            Family::Payouts => &PAYOUTS,
            Family::BalanceSummary => &SUMMARY,
        }
    }
}

impl fmt::Display for ReportType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version;
        match self.family {
            Family::Activity => write!(f, "balance_change_from_activity.itemized.{version}"),
            Family::PayoutReconciliation => write!(f, "payout_reconciliation.itemized.{version}"),
            Family::Payouts => write!(f, "payouts.itemized.{version}"),
            Family::BalanceSummary => write!(f, "balance.summary.{version}"),
        }
    }
}

fn is_metadata(name: &str) -> bool {
    ["payment_metadata[", "refund_metadata[", "transfer_metadata["]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.len() > 1 && rest.ends_with(']')))
}

/// Whose clock a column's times are printed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Print {
    Utc,
    Zone,
}

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    BalanceTransactionId,
    Created(Print),
    AvailableOn(Print),
    Currency,
    Gross,
    Fee,
    Net,
    Category,
    SourceId,
    Description,
    CustomerFacingAmount,
    CustomerFacingCurrency,
    PayoutId,
    PayoutEffectiveAt(Print),
    ChargeId,
    PaymentIntentId,
    ChargeCreated(Print),
    PaymentMethodType,
    CardBrand,
    PaymentNo,
    PayoutStatus,
    PayoutType,
    TraceIdStatus,
    Blank,
}

struct Spec {
    name: &'static str,
    field: Field,
    /// The first version that has the column.
    since: u8,
    default: bool,
}

const fn spec(name: &'static str, field: Field, since: u8, default: bool) -> Spec {
    Spec { name, field, since, default }
}

static ITEMISED: [Spec; 25] = [
    spec("balance_transaction_id", Field::BalanceTransactionId, 1, true),
    spec("created_utc", Field::Created(Print::Utc), 1, true),
    spec("created", Field::Created(Print::Zone), 3, true),
    spec("available_on_utc", Field::AvailableOn(Print::Utc), 1, true),
    spec("available_on", Field::AvailableOn(Print::Zone), 3, true),
    spec("currency", Field::Currency, 1, true),
    spec("gross", Field::Gross, 1, true),
    spec("fee", Field::Fee, 1, true),
    spec("net", Field::Net, 1, true),
    spec("reporting_category", Field::Category, 1, true),
    spec("source_id", Field::SourceId, 1, true),
    spec("description", Field::Description, 1, true),
    spec("customer_facing_amount", Field::CustomerFacingAmount, 1, true),
    spec("customer_facing_currency", Field::CustomerFacingCurrency, 1, true),
    spec("automatic_payout_id", Field::PayoutId, 1, true),
    spec("automatic_payout_effective_at_utc", Field::PayoutEffectiveAt(Print::Utc), 3, true),
    spec("automatic_payout_effective_at", Field::PayoutEffectiveAt(Print::Zone), 1, true),
    spec("charge_id", Field::ChargeId, 1, true),
    spec("payment_intent_id", Field::PaymentIntentId, 1, true),
    spec("charge_created_utc", Field::ChargeCreated(Print::Utc), 1, true),
    spec("charge_created", Field::ChargeCreated(Print::Zone), 3, true),
    spec("payment_method_type", Field::PaymentMethodType, 1, true),
    spec("card_brand", Field::CardBrand, 1, true),
    spec("trace_id", Field::Blank, 1, false),
    spec("trace_id_status", Field::TraceIdStatus, 1, false),
];

/// Columns of the itemised reports that exist and are empty here.
const EMPTY_COLUMNS: [&str; 28] = [
    "card_country",
    "card_funding",
    "connected_account_country",
    "connected_account_direct_charge_id",
    "connected_account_id",
    "connected_account_name",
    "customer_address_city",
    "customer_address_country",
    "customer_address_line1",
    "customer_address_line2",
    "customer_address_postal_code",
    "customer_address_state",
    "customer_description",
    "customer_email",
    "customer_id",
    "customer_name",
    "destination_payment_id",
    "dispute_reason",
    "invoice_id",
    "invoice_number",
    "is_link",
    "order_id",
    "regulatory_tag",
    "shipping_address_city",
    "shipping_address_country",
    "shipping_address_postal_code",
    "statement_descriptor",
    "subscription_id",
];

static PAYOUTS: [Spec; 18] = [
    spec("payout_id", Field::PayoutId, 3, true),
    spec("effective_at_utc", Field::PayoutEffectiveAt(Print::Utc), 3, true),
    spec("effective_at", Field::PayoutEffectiveAt(Print::Zone), 3, true),
    spec("currency", Field::Currency, 3, true),
    spec("gross", Field::Gross, 3, true),
    spec("fee", Field::Fee, 3, true),
    spec("net", Field::Net, 3, true),
    spec("reporting_category", Field::Category, 3, true),
    spec("balance_transaction_id", Field::BalanceTransactionId, 3, true),
    spec("description", Field::Description, 3, true),
    spec("payout_expected_arrival_date", Field::PayoutEffectiveAt(Print::Zone), 3, true),
    spec("payout_status", Field::PayoutStatus, 3, true),
    spec("payout_reversed_at_utc", Field::Blank, 3, true),
    spec("payout_reversed_at", Field::Blank, 3, true),
    spec("payout_type", Field::PayoutType, 3, true),
    spec("payout_description", Field::Description, 3, true),
    spec("payout_destination_id", Field::Blank, 3, false),
    spec("trace_id_status", Field::TraceIdStatus, 3, false),
];

static SUMMARY: [Spec; 4] = [
    spec("category", Field::Category, 1, true),
    spec("description", Field::Description, 1, true),
    spec("net_amount", Field::Net, 1, true),
    spec("currency", Field::Currency, 1, true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back() {
        assert_eq!(ReportType::all().count(), 16);
        for known in ReportType::all() {
            assert_eq!(ReportType::parse(&known.to_string()), Some(known));
        }
        for unknown in
            ["", "balance.summary.3", "balance_change_from_activity.itemized.8", "payouts.itemized.1"]
        {
            assert_eq!(ReportType::parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn versions_differ_in_their_columns() {
        let activity = |version| ReportType { family: Family::Activity, version };
        assert_eq!(activity(2).field("created"), None);
        assert!(activity(3).field("created").is_some());
        assert_eq!(activity(3).field("payment_metadata[anything]"), Some(Field::Blank));
        assert_eq!(activity(3).field("payment_metadata[]"), None);
        assert_eq!(activity(3).field("nonsense"), None);
        let payouts = |version| ReportType { family: Family::PayoutReconciliation, version };
        let names = |version| payouts(version).default_columns().contains(&"automatic_payout_id".to_owned());
        assert!(names(5) && !names(6) && payouts(6).field("automatic_payout_id").is_some());
    }
}
