//! ISO 4217 currency codes and the number of decimals ("exponent") each has, by provider.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A currency code: three upper-case ASCII letters, as in ISO 4217.
///
/// Any three letters are accepted, because channels settle in codes that no table lists yet; whether the
/// exponent is known is asked of [`Exponents`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A text that is not a currency code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a currency code: three letters are expected, such as USD")]
pub struct InvalidCurrency(pub String);

impl Currency {
    /// The US dollar.
    pub const USD: Self = Self(*b"USD");
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");
    /// The yen, which has no minor unit.
    pub const JPY: Self = Self(*b"JPY");
    /// The Kuwaiti dinar, which has three decimals.
    pub const KWD: Self = Self(*b"KWD");

    /// Reads a code in any letter case; surrounding blanks are ignored.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidCurrency> {
        let trimmed = text.trim_ascii();
        match <[u8; 3]>::try_from(trimmed) {
            Ok(code) if code.iter().all(u8::is_ascii_alphabetic) => {
                Ok(Self(code.map(|b| b.to_ascii_uppercase())))
            }
            _ => {
                Err(InvalidCurrency(String::from_utf8_lossy(&trimmed[..trimmed.len().min(40)]).into_owned()))
            }
        }
    }

    /// The code as text, upper case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// The three letters, upper case.
    #[inline]
    pub fn letters(self) -> [u8; 3] {
        self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How many decimals a provider's amounts have, per currency.
///
/// ISO 4217 is the default; a provider that deviates names its own exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exponents {
    /// ISO 4217.
    Iso4217,
    /// Stripe: ISO 4217 with its own list of currencies without decimals, and ISK and UGX kept at two for
    /// compatibility (amounts in them must be divisible by 100).
    Stripe,
    /// PayPal reports: two decimals for every currency, the yen included.
    PayPal,
}

const NO_DECIMALS: [&[u8; 3]; 17] = [
    b"BIF", b"CLP", b"DJF", b"GNF", b"ISK", b"JPY", b"KMF", b"KRW", b"PYG", b"RWF", b"UGX", b"UYI", b"VND",
    b"VUV", b"XAF", b"XOF", b"XPF",
];
const STRIPE_NO_DECIMALS: [&[u8; 3]; 15] = [
    b"BIF", b"CLP", b"DJF", b"GNF", b"JPY", b"KMF", b"KRW", b"MGA", b"PYG", b"RWF", b"VND", b"VUV", b"XAF",
    b"XOF", b"XPF",
];
const THREE_DECIMALS: [&[u8; 3]; 7] = [b"BHD", b"IQD", b"JOD", b"KWD", b"LYD", b"OMR", b"TND"];

impl Exponents {
    /// The number of decimals of an amount in `currency`, from 0 to 4. Codes in no table have two.
    pub fn of(self, currency: Currency) -> u8 {
        let code = &currency.0;
        match self {
            Self::PayPal => 2,
            Self::Stripe if STRIPE_NO_DECIMALS.contains(&code) => 0,
            Self::Stripe if matches!(code, b"ISK" | b"UGX") => 2,
            Self::Iso4217 if NO_DECIMALS.contains(&code) => 0,
            Self::Iso4217 if matches!(code, b"CLF" | b"UYW") => 4,
            _ if THREE_DECIMALS.contains(&code) => 3,
            _ => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_in_any_case() {
        assert_eq!(Currency::parse(b" usd ").unwrap(), Currency::USD);
        for bad in ["", "us", "usdd", "u$d", "元人民"] {
            assert!(Currency::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn exponents_differ_by_provider() {
        let of = |table: Exponents, code: &str| table.of(code.parse().unwrap());
        assert_eq!(of(Exponents::Iso4217, "JPY"), 0);
        assert_eq!(of(Exponents::Iso4217, "KWD"), 3);
        assert_eq!(of(Exponents::Iso4217, "UGX"), 0);
        assert_eq!(of(Exponents::Stripe, "UGX"), 2);
        assert_eq!(of(Exponents::Stripe, "MGA"), 0);
        assert_eq!(of(Exponents::PayPal, "JPY"), 2);
    }
}
