//! Stripe's reporting categories. The list is not closed: a word that is not here is rejected, never guessed.

use crate::row::Kind;

/// A reporting category of Stripe's balance reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Category(u16);

/// The part of an authorization that a capture left over: a capture of 60 of 100 is a charge of 100 and this of -40.
const PARTIAL_CAPTURE_REVERSAL: &str = "partial_capture_reversal";

/// Word and kind. The frequent ones come first, since they are looked for in this order.
const KNOWN: &[(&str, Kind)] = &[
    ("charge", Kind::Payment),
    ("refund", Kind::Refund),
    ("fee", Kind::Fee),
    ("dispute", Kind::Dispute),
    ("dispute_reversal", Kind::DisputeReversal),
    ("payout", Kind::Payout),
    ("payout_reversal", Kind::Payout),
    (PARTIAL_CAPTURE_REVERSAL, Kind::Payment),
    ("network_cost", Kind::Fee),
    ("tax", Kind::Fee),
    // In these the cost sits in gross and the fee is 0, as in `fee`.
    ("contribution", Kind::Fee),
    ("financing_paydown", Kind::Fee),
    ("charge_failure", Kind::Adjustment),
    ("refund_failure", Kind::Adjustment),
    ("transfer", Kind::Adjustment),
    ("transfer_reversal", Kind::Adjustment),
    ("topup", Kind::Adjustment),
    ("topup_reversal", Kind::Adjustment),
    ("other_adjustment", Kind::Adjustment),
    ("risk_reserved_funds", Kind::Adjustment),
    ("connect_collection_transfer", Kind::Adjustment),
    ("connect_reserved_funds", Kind::Adjustment),
    ("platform_earning", Kind::Adjustment),
    ("platform_earning_refund", Kind::Adjustment),
    ("advance", Kind::Adjustment),
    ("advance_funding", Kind::Adjustment),
    ("anticipation_repayment", Kind::Adjustment),
    ("climate_order_purchase", Kind::Adjustment),
    ("climate_order_refund", Kind::Adjustment),
    ("financing_paydown_reversal", Kind::Adjustment),
    ("financing_payout", Kind::Adjustment),
    ("financing_payout_reversal", Kind::Adjustment),
    ("issuing_authorization_hold", Kind::Adjustment),
    ("issuing_authorization_release", Kind::Adjustment),
    ("issuing_disbursement", Kind::Adjustment),
    ("issuing_dispute", Kind::Adjustment),
    ("issuing_dispute_fraud_liability_debit", Kind::Adjustment),
    ("issuing_dispute_provisional_credit", Kind::Adjustment),
    ("issuing_dispute_provisional_credit_reversal", Kind::Adjustment),
    ("issuing_transaction", Kind::Adjustment),
    ("unreconciled_customer_funds", Kind::Adjustment),
];

impl Category {
    /// The category of a word, whatever its letter case; `None` when Stripe's known words do not have it.
    #[inline]
    pub fn parse(word: &[u8]) -> Option<Self> {
        let index = KNOWN.iter().position(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word))?;
        u16::try_from(index).ok().map(Self)
    }

    /// What rows of the category move money for.
    pub fn kind(self) -> Kind {
        KNOWN.get(usize::from(self.0)).map_or(Kind::Adjustment, |(_, kind)| *kind)
    }

    /// Whether rows of the category take back a part of a charge, under an id of their own.
    pub(crate) fn takes_back_a_part(self) -> bool {
        self.kind() == Kind::Payment && self.as_str() == PARTIAL_CAPTURE_REVERSAL
    }

    /// Stripe's word.
    pub fn as_str(self) -> &'static str {
        KNOWN.get(usize::from(self.0)).map_or("", |(word, _)| word)
    }

    pub(crate) fn number(self) -> u16 {
        self.0
    }

    pub(crate) fn of_number(number: u16) -> Self {
        Self(number)
    }
}
