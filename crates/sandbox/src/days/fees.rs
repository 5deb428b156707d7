//! Currencies, amounts and what the channel charges.

use payops_core::currency::Currency;

use super::dice::{Dice, Topic};
use super::movement::MovementKind;

/// The currencies of every day. Their exponents are 2, 2, 0 and 3.
pub const CURRENCIES: [Currency; 4] = [Currency::USD, Currency::EUR, Currency::JPY, Currency::KWD];

/// The currency for a number in `0..100`: USD 60, EUR 25, JPY 10, KWD 5 of a hundred.
pub(crate) fn currency_of(hundredth: u64) -> Currency {
    match hundredth {
        0..60 => Currency::USD,
        60..85 => Currency::EUR,
        85..95 => Currency::JPY,
        _ => Currency::KWD,
    }
}

/// An amount in minor units such as a shop takes: mostly up to some hundreds of the major unit (yen: some
/// ten thousands), one in twenty up to a hundred times more.
pub(crate) fn amount_in(currency: Currency, dice: Dice, index: u64) -> i64 {
    let least = if currency == Currency::KWD { 500 } else { 200 };
    let usual = if currency == Currency::KWD { 150_000 } else { 49_800 };
    if dice.one_in(index, Topic::Detail, 20) {
        least + dice.amount_below(index, Topic::Amount, usual * 100)
    } else {
        least + dice.amount_below(index, Topic::Amount, usual)
    }
}

/// What the channel charges for a movement of `amount` minor units (written positive).
///
/// A payment costs 2.9 % and 0.30 USD, 0.25 EUR or 0.100 KWD, or 3.6 % in JPY, rounded half up; a chargeback
/// costs 15 USD, 20 EUR, 1500 JPY or 5 KWD; all else is free.
pub fn fee_of(kind: MovementKind, amount: i64, currency: Currency) -> i64 {
    match kind {
        MovementKind::Payment => {
            let (thousandths, fixed) = match currency {
                Currency::JPY => (36, 0),
                Currency::KWD => (29, 100),
                Currency::EUR => (29, 25),
                _ => (29, 30),
            };
            (amount * thousandths + 500) / 1000 + fixed
        }
        MovementKind::Dispute => match currency {
            Currency::EUR => 2000,
            Currency::KWD => 5000,
            _ => 1500,
        },
        MovementKind::Refund | MovementKind::DisputeReversal | MovementKind::Fee => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_follow_the_price_list() {
        let fee = |amount, currency| fee_of(MovementKind::Payment, amount, currency);
        assert_eq!(fee(10_000, Currency::USD), 320);
        assert_eq!(fee(10_000, Currency::EUR), 315);
        assert_eq!(fee(1_000, Currency::JPY), 36);
        assert_eq!(fee(10_000, Currency::KWD), 390);
        assert_eq!(fee_of(MovementKind::Refund, 10_000, Currency::USD), 0);
        assert_eq!(fee_of(MovementKind::Dispute, 10_000, Currency::USD), 1500);
    }
}
