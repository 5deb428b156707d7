//! Exact money: an integer in minor units beside its currency. No float is ever involved.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::currency::Currency;

/// An amount of one currency in its minor unit (cents for USD, yen for JPY). Negative amounts are debits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units, signed.
    pub amount: i64,
    /// The currency the amount is in.
    pub currency: Currency,
}

/// Why two amounts could not be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The amounts are in different currencies; no rate is ever assumed.
    #[error("amounts in {0} and {1} cannot be added")]
    CurrencyMismatch(Currency, Currency),
    /// The sum lies beyond what 64 bits hold.
    #[error("the sum is beyond the range of 64-bit minor units")]
    Overflow,
}

impl Money {
    /// `amount` minor units of `currency`.
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// The sum of two amounts of one currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch(self.currency, other.currency));
        }
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }
}

/// Why a text is not an exact amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Nothing but blanks.
    #[error("the amount is empty")]
    Empty,
    /// A character that has no place in a number.
    #[error("the amount is not a plain decimal number")]
    Malformed,
    /// A digit other than zero stands beyond the currency's last decimal. Rounding would invent money.
    #[error("the amount has more decimals than the currency ({0})")]
    SurplusDigits(u8),
    /// The amount does not fit 64-bit minor units.
    #[error("the amount is beyond the range of 64-bit minor units")]
    OutOfRange,
}

/// Reads a decimal number in major units ("-12.50") as minor units with `exponent` decimals.
///
/// One sign, digits, at most one decimal mark (`.`) and further digits are accepted; blanks around are
/// ignored. Zeros beyond the exponent are accepted, any other digit there is an error, never rounded.
/// Grouping marks and exponents ("1e3") are refused, since they mean different things to different writers.
pub fn parse_major(text: &[u8], exponent: u8) -> Result<i64, AmountError> {
    parse_scaled(text, exponent, b'.')
}

/// As [`parse_major`], with another decimal mark, for files that write "12,50".
pub fn parse_scaled(text: &[u8], exponent: u8, decimal_mark: u8) -> Result<i64, AmountError> {
    let text = text.trim_ascii();
    let (negative, digits) = match text {
        [] => return Err(AmountError::Empty),
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut value: i64 = 0;
    let mut decimals: Option<u8> = None;
    let mut seen_digit = false;
    for &byte in digits {
        if byte == decimal_mark && decimals.is_none() {
            decimals = Some(0);
            continue;
        }
        if !byte.is_ascii_digit() {
            return Err(AmountError::Malformed);
        }
        seen_digit = true;
        if let Some(count) = decimals.as_mut() {
            if *count == exponent {
                if byte != b'0' {
                    return Err(AmountError::SurplusDigits(exponent));
                }
                continue;
            }
            *count += 1;
        }
        value = shift_in(value, byte - b'0').ok_or(AmountError::OutOfRange)?;
    }
    if !seen_digit {
        return Err(AmountError::Malformed);
    }
    for _ in decimals.unwrap_or(0)..exponent {
        value = value.checked_mul(10).ok_or(AmountError::OutOfRange)?;
    }
    // Built as a negative number, whose range is one larger, so that the smallest i64 is readable too.
    if negative { Ok(value) } else { value.checked_neg().ok_or(AmountError::OutOfRange) }
}

fn shift_in(value: i64, digit: u8) -> Option<i64> {
    value.checked_mul(10)?.checked_sub(i64::from(digit))
}

/// Writes minor units as a decimal number in major units: `(-1250, 2)` is "-12.50".
pub fn format_major(amount: i64, exponent: u8) -> String {
    let scale = 10_u64.pow(u32::from(exponent));
    let sign = if amount < 0 { "-" } else { "" };
    let (whole, fraction) = (amount.unsigned_abs() / scale, amount.unsigned_abs() % scale);
    if exponent == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{fraction:0width$}", width = usize::from(exponent))
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = crate::currency::Exponents::Iso4217.of(self.currency);
        write!(f, "{} {}", format_major(self.amount, exponent), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_exactly_or_says_why_not() {
        let cases: [(&str, u8, Result<i64, AmountError>); 16] = [
            ("10.00", 2, Ok(1000)),
            ("25", 2, Ok(2500)),
            ("-0.5", 2, Ok(-50)),
            (" 1.200 ", 2, Ok(120)),
            (".5", 2, Ok(50)),
            ("7.", 2, Ok(700)),
            ("1.234", 3, Ok(1234)),
            ("100", 0, Ok(100)),
            ("100.00", 0, Ok(100)),
            ("92233720368547758.07", 2, Ok(i64::MAX)),
            ("-92233720368547758.08", 2, Ok(i64::MIN)),
            ("92233720368547758.08", 2, Err(AmountError::OutOfRange)),
            ("1.005", 2, Err(AmountError::SurplusDigits(2))),
            ("1,000.00", 2, Err(AmountError::Malformed)),
            ("-", 2, Err(AmountError::Malformed)),
            ("", 2, Err(AmountError::Empty)),
        ];
        for (text, exponent, expected) in cases {
            assert_eq!(parse_major(text.as_bytes(), exponent), expected, "{text}");
        }
        for text in ["1e3", "١٢", "1.2.3", "--1", "0x10", "NaN", "1 2", "."] {
            assert_eq!(parse_major(text.as_bytes(), 2), Err(AmountError::Malformed), "{text}");
        }
    }

    #[test]
    fn different_currencies_do_not_add() {
        let usd = Money::new(1, Currency::USD);
        assert_eq!(
            usd.checked_add(Money::new(1, Currency::EUR)),
            Err(MoneyError::CurrencyMismatch(Currency::USD, Currency::EUR))
        );
        assert_eq!(usd.checked_add(Money::new(i64::MAX, Currency::USD)), Err(MoneyError::Overflow));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(amount in any::<i64>(), exponent in 0_u8..=4) {
            prop_assert_eq!(parse_major(format_major(amount, exponent).as_bytes(), exponent), Ok(amount));
        }

        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..40), exponent in 0_u8..=4) {
            let _ = parse_major(&text, exponent);
        }
    }
}
