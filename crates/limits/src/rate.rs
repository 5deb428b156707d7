//! Exchange rates, exact: a decimal number, never a float.

use std::fmt;
use std::str::FromStr;

use payops_core::currency::{Currency, Exponents};
use uuid::Uuid;

/// How many units of one currency count for one unit of another: `digits` / 10^`scale`, above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    digits: i64,
    scale: u8,
}

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate is a decimal number above 0 with at most {} digits, {} of them decimals, such as \"0.1389\"",
    Rate::MOST_DIGITS,
    Rate::MOST_DECIMALS
)]
pub struct InvalidRate;

/// A rate as it was when it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedRate {
    /// The row of the rate table.
    pub id: Uuid,
    /// The rate.
    pub rate: Rate,
}

impl Rate {
    const MOST_DIGITS: usize = 18;
    const MOST_DECIMALS: usize = 12;

    /// What `amount` minor units of `from` count in minor units of `to`, rounded up: a fraction of a cent must not
    /// slip past a limit. `None` where 64 bits do not hold it. Decimals are those of ISO 4217.
    pub fn convert(self, amount: i64, from: Currency, to: Currency) -> Option<i64> {
        let exponent = |currency| u32::from(Exponents::Iso4217.of(currency));
        let above = i128::from(amount)
            .checked_mul(i128::from(self.digits))?
            .checked_mul(10_i128.checked_pow(exponent(to))?)?;
        let below = 10_i128.checked_pow(u32::from(self.scale) + exponent(from))?;
        let whole = above.div_euclid(below);
        let counted = if above.rem_euclid(below) == 0 { whole } else { whole.checked_add(1)? };
        i64::try_from(counted).ok()
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let decimals =
            if all_digits(decimals) { decimals.trim_end_matches('0') } else { return Err(InvalidRate) };
        let length = whole.len() + decimals.len();
        if !all_digits(whole) || decimals.len() > Self::MOST_DECIMALS || length > Self::MOST_DIGITS {
            return Err(InvalidRate);
        }
        let digits: i64 = format!("{whole}{decimals}").parse().map_err(|_| InvalidRate)?;
        let scale = u8::try_from(decimals.len()).map_err(|_| InvalidRate)?;
        if digits == 0 { Err(InvalidRate) } else { Ok(Self { digits, scale }) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&payops_core::money::format_major(self.digits, self.scale))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn convert(rate: &str, amount: i64, from: &str, to: &str) -> Option<i64> {
        rate.parse::<Rate>().unwrap().convert(amount, from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn conversion_is_exact_and_rounds_up() {
        assert_eq!(convert("0.1389", 10_000, "CNY", "USD"), Some(1_389));
        assert_eq!(convert("0.1389", 1, "CNY", "USD"), Some(1), "a fraction counts as a whole unit");
        assert_eq!(convert("0.0067", 1_000, "JPY", "USD"), Some(670));
        assert_eq!(convert("149.25", 100, "USD", "JPY"), Some(150));
        assert_eq!(convert("3.26", 1_000, "KWD", "USD"), Some(326));
        assert_eq!(convert("1", i64::MAX, "USD", "EUR"), Some(i64::MAX));
        assert_eq!(convert("1.000000000001", i64::MAX, "USD", "EUR"), None);
    }

    #[test]
    fn only_exact_positive_decimals_are_rates() {
        for good in ["1", "0.5", "00.10", "123456.789012345678"] {
            assert!(good.parse::<Rate>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "0",
            "0.0",
            "-1",
            "+1",
            "1e3",
            ".5",
            "1.",
            "1,5",
            "NaN",
            "1.2.3",
            "0.0000000000001",
            "1234567890123456789",
        ] {
            assert_eq!(bad.parse::<Rate>(), Err(InvalidRate), "{bad}");
        }
        assert_eq!("0.50".parse::<Rate>().unwrap().to_string(), "0.5");
    }

    proptest! {
        #[test]
        fn a_rate_is_read_back_as_written(digits in 1_i64..=999_999_999_999, scale in 0_u8..=12) {
            let rate = Rate { digits, scale };
            let read: Rate = rate.to_string().parse().unwrap();
            prop_assert_eq!(read.convert(1_000_000, Currency::USD, Currency::EUR), rate.convert(1_000_000, Currency::USD, Currency::EUR));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Rate>();
        }
    }
}
