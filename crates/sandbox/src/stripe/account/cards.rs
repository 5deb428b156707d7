//! The cards of the test mode, and what each of them causes.

use serde::{Deserialize, Serialize};

/// What the issuer of a card does after a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Pays,
    Declines,
    Disputes,
    DisputesTwice,
    Inquires,
    WarnsOfFraud,
}

/// A card of the test mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TestCard {
    number: &'static str,
    /// What follows `pm_card_` and `tok_`.
    names: &'static [&'static str],
    brand: &'static str,
    behaviour: Behaviour,
    reason: &'static str,
    network_code: &'static str,
    case_type: &'static str,
}

const fn plain(number: &'static str, names: &'static [&'static str], brand: &'static str) -> TestCard {
    TestCard { number, names, brand, behaviour: Behaviour::Pays, reason: "", network_code: "", case_type: "" }
}

const fn disputed(
    number: &'static str,
    names: &'static [&'static str],
    reason: &'static str,
    network_code: &'static str,
) -> TestCard {
    let behaviour = Behaviour::Disputes;
    TestCard { number, names, brand: "visa", behaviour, reason, network_code, case_type: "chargeback" }
}

const CARDS: [TestCard; 14] = [
    plain("4242424242424242", &["visa"], "visa"),
    plain("5555555555554444", &["mastercard"], "mastercard"),
    plain("378282246310005", &["amex"], "amex"),
    TestCard {
        behaviour: Behaviour::Declines,
        ..plain("4000000000000002", &["chargeDeclined", "visa_chargeDeclined"], "visa")
    },
    disputed("4000000000000259", &["createDispute", "visa_createDispute"], "fraudulent", "10.4"),
    disputed("4000000000002685", &["createDisputeProductNotReceived"], "product_not_received", "13.1"),
    TestCard {
        behaviour: Behaviour::Inquires,
        case_type: "inquiry",
        ..disputed("4000000000001976", &["createDisputeInquiry"], "fraudulent", "10")
    },
    TestCard {
        behaviour: Behaviour::WarnsOfFraud,
        ..plain("4000000000005423", &["createIssuerFraudRecord"], "visa")
    },
    TestCard {
        behaviour: Behaviour::DisputesTwice,
        ..disputed("4000000404000079", &["createMultipleDisputes"], "fraudulent", "10.4")
    },
    disputed("4000000404000038", &["createCe3EligibleDispute"], "fraudulent", "10.4"),
    TestCard {
        case_type: "compliance",
        ..disputed("4000008400000779", &["createComplianceDispute"], "noncompliant", "C01")
    },
    TestCard {
        brand: "mastercard",
        case_type: "compliance",
        ..disputed("5105008400000002", &["createMastercardComplianceDispute"], "noncompliant", "C01")
    },
    disputed("4000000001000043", &["createAutoRepresentmentEligibleDispute"], "fraudulent", "10.4"),
    plain("6011111111111117", &["discover"], "discover"),
];

/// A card, by its number in the test mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Card(String);

impl Card {
    /// The card of a number, a token (`tok_…`) or a payment method (`pm_card_…`).
    pub(crate) fn named(name: &str) -> Option<Self> {
        let number: String = name.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
        let short = name.strip_prefix("pm_card_").or_else(|| name.strip_prefix("tok_"));
        let found = CARDS
            .iter()
            .find(|card| card.number == number || short.is_some_and(|short| card.names.contains(&short)));
        found.map(|card| Self(card.number.to_owned()))
    }

    fn known(&self) -> &'static TestCard {
        CARDS.iter().find(|card| card.number == self.0).unwrap_or(&CARDS[0])
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        self.known().behaviour
    }

    pub(super) fn brand(&self) -> &'static str {
        self.known().brand
    }

    pub(super) fn last4(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default()
    }

    /// Reason, network code and case type of the disputes that it causes.
    pub(super) fn case(&self) -> (&'static str, &'static str, &'static str) {
        let known = self.known();
        (known.reason, known.network_code, known.case_type)
    }

    /// What Stripe calls the additional evidence that its disputes can take.
    pub(super) fn enhanced_eligibility(&self) -> Option<&'static str> {
        let known = self.known();
        match (known.case_type, known.brand) {
            ("compliance", "mastercard") => Some("mastercard_compliance"),
            ("compliance", _) => Some("visa_compliance"),
            _ if known.names.contains(&"createCe3EligibleDispute") => Some("visa_compelling_evidence_3"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_known_by_number_token_and_payment_method() {
        let card = Card::named("4000 0000 0000 0259").unwrap();
        assert_eq!(Card::named("pm_card_createDispute"), Some(card.clone()));
        assert_eq!(Card::named("tok_visa_createDispute"), Some(card.clone()));
        assert_eq!((card.last4(), card.case()), ("0259", ("fraudulent", "10.4", "chargeback")));
        assert_eq!(Card::named("pm_card_nope"), None);
        assert_eq!(Card::named("4000000000000000"), None);
    }
}
