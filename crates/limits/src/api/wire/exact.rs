//! Decimal numbers in JSON that no float ever touches: they are read and written as text.

use payops_core::money::{AmountError, format_major, parse_major};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A share of an amount, such as 0.0025 for 0.25 %: 0 to 1, exact to four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeRate(
    /// Ten-thousandths.
    pub i32,
);

impl FeeRate {
    const DECIMALS: u8 = 4;
    const WHOLE: i64 = 10_000;
}

impl<'de> Deserialize<'de> for FeeRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let share = parse_major(text.get().as_bytes(), Self::DECIMALS);
        let refuse = |why: &str| Err(serde::de::Error::custom(why));
        match share {
            Ok(share @ 0..=Self::WHOLE) => i32::try_from(share).map(Self).map_err(serde::de::Error::custom),
            Ok(_) | Err(AmountError::OutOfRange) => refuse("must lie between 0 and 1: 0.0025 is 0.25 %"),
            Err(AmountError::SurplusDigits(_)) => refuse("must have at most 4 decimals"),
            Err(_) => refuse("must be a number without an exponent, such as 0.0025"),
        }
    }
}

impl Serialize for FeeRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(&format_major(i64::from(self.0), Self::DECIMALS), 0).serialize(serializer)
    }
}

/// How much of a limit is used, in percent with at most two decimals, rounded down: 45.0, 99.99.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(i64);

impl Percent {
    /// `part` of `whole`; a whole of 0 is always all used.
    pub fn of(part: i128, whole: i64) -> Self {
        const ALL: i128 = 10_000;
        let share = if whole <= 0 { ALL } else { part.saturating_mul(ALL) / i128::from(whole) };
        Self(i64::try_from(share).unwrap_or(i64::MAX))
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(&format_major(self.0, 2), 1).serialize(serializer)
    }
}

/// A decimal text as a JSON number, with no more zeros at its end than needed for `least` decimals.
fn number(text: &str, least: usize) -> Option<Box<RawValue>> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let needed = decimals.trim_end_matches('0').len().max(least);
    let short = match decimals.get(..needed) {
        Some("") | None => whole.to_owned(),
        Some(decimals) => format!("{whole}.{decimals}"),
    };
    // Digits with a point between them are a JSON number.
    RawValue::from_string(short).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_read_exactly() {
        for (text, rate) in
            [("0.0025", 25), ("0", 0), ("1", 10_000), ("0.00250", 25), ("0.1", 1000), ("1.0", 10_000)]
        {
            assert_eq!(serde_json::from_str::<FeeRate>(text).unwrap(), FeeRate(rate), "{text}");
        }
        for text in [
            "0.00251",
            "1.0001",
            "-0.0001",
            "2.5e-3",
            "\"0.0025\"",
            "null",
            "true",
            "25",
            "[0.1]",
            "99999999999999999999999",
            "0.0025000000000000000000000001",
        ] {
            assert!(serde_json::from_str::<FeeRate>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_written_short() {
        let json = |value: &dyn erased::Json| value.json();
        for (rate, text) in [(0, "0"), (25, "0.0025"), (50, "0.005"), (10_000, "1")] {
            assert_eq!(json(&FeeRate(rate)), text);
        }
        for (part, whole, text) in [
            (45_000_000, 100_000_000, "45.0"),
            (1, 3, "33.33"),
            (0, 5, "0.0"),
            (0, 0, "100.0"),
            (5, 2, "250.0"),
            (9_999_999, 10_000_000, "99.99"),
        ] {
            assert_eq!(json(&Percent::of(part, whole)), text);
        }
        assert_eq!(json(&Percent::of(i128::from(i64::MAX) * 2, 1)), "92233720368547758.07");
    }

    /// Only for the test above: two types, one list.
    mod erased {
        pub(super) trait Json {
            fn json(&self) -> String;
        }

        impl<T: serde::Serialize> Json for T {
            fn json(&self) -> String {
                serde_json::to_string(self).unwrap()
            }
        }
    }

    proptest! {
        #[test]
        fn a_rate_is_read_back_as_written(rate in 0..=10_000_i32) {
            let text = serde_json::to_string(&FeeRate(rate)).unwrap();
            prop_assert_eq!(serde_json::from_str::<FeeRate>(&text).unwrap(), FeeRate(rate));
            // A stored answer passes through a JSON value.
            let value = serde_json::to_value(FeeRate(rate)).unwrap();
            prop_assert_eq!(serde_json::from_str::<FeeRate>(&value.to_string()).unwrap(), FeeRate(rate));
        }
    }
}
