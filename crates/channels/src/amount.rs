//! Reads amounts in the ways that files write them.

use payops_core::money::{AmountError, parse_scaled};

use crate::tally::{FEE_SCALE, Fee, minor_unit, round_half_even};

/// Reads an amount in major units, as [`parse_scaled`] does. Plain short numbers, which nearly all are, cannot
/// overflow and take the short way.
#[inline]
pub(crate) fn parse_money(text: &[u8], exponent: u8, mark: u8) -> Result<i64, AmountError> {
    short_amount(text, exponent, mark).map_or_else(|| parse_scaled(text, exponent, mark), Ok)
}

/// Up to 14 digits and a mark, with no more decimals than the currency has; `None` for anything else.
#[inline]
pub(crate) fn short_amount(text: &[u8], exponent: u8, mark: u8) -> Option<i64> {
    const POWERS: [i64; 5] = [1, 10, 100, 1_000, 10_000];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.len() > 14 {
        return None;
    }
    let (mut value, mut decimals, mut seen, mut marked) = (0_i64, 0_usize, false, false);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + i64::from(digit);
            decimals += usize::from(marked);
            seen = true;
        } else if byte == mark && !marked {
            marked = true;
        } else {
            return None;
        }
    }
    let missing = usize::from(exponent).checked_sub(decimals)?;
    let value = value * POWERS.get(missing)?;
    seen.then_some(if negative { -value } else { value })
}

/// Reads an amount of at most eight bytes, the last of `window`, all at once: digits, and before the last
/// `decimals` of them `mark` where there are decimals. `None` for anything else.
#[inline]
pub(crate) fn window_amount(window: [u8; 8], length: usize, decimals: u8, mark: u8) -> Option<i64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    // The first byte of the text is the lowest of the word; what stands before the amount becomes zeros.
    let kept = u64::MAX << (64_usize.checked_sub(8 * length)? % 64);
    let word = u64::from_le_bytes(window);
    // What the mark stands in front of, the mark not included.
    let below_mark = u64::from(decimals) * 8;
    let mut digits = (word ^ ZEROS) & kept;
    if decimals > 0 {
        let place = 56_u64.checked_sub(below_mark)?;
        if (word >> place) & 0xFF != u64::from(mark) || length < usize::from(decimals) + 2 {
            return None;
        }
        // What stands before the mark moves up by one byte and covers it.
        let fraction = u64::MAX << (place + 8);
        digits = digits & fraction | (digits << 8) & !fraction;
    } else if length == 0 {
        return None;
    }
    // A digit is below ten: its upper half is zero, and still is when 6 is added.
    if (digits | digits.wrapping_add(0x0606_0606_0606_0606)) & HIGH != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    let all = (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF;
    i64::try_from(all).ok()
}

/// Reads whole minor units. A decimal mark is refused even before zeros: it says that the file's author
/// meant major units.
pub(crate) fn parse_minor(text: &[u8]) -> Result<i64, AmountError> {
    // No digit, sign or blank is a NUL byte, so there is no decimal mark.
    parse_money(text, 0, 0)
}

/// Reads a fee in major units which may have up to `decimals` decimals, more than its currency has.
pub(crate) fn parse_fee(text: &[u8], exponent: u8, mark: u8, decimals: u8) -> Result<Fee, AmountError> {
    match parse_money(text, exponent, mark) {
        Ok(minor) => Ok(Fee { minor, fine: None }),
        Err(AmountError::SurplusDigits(_)) if decimals > exponent => {
            let fine = parse_fine(text.trim_ascii(), mark, decimals.min(FEE_SCALE))?;
            let minor = i64::try_from(round_half_even(fine, minor_unit(exponent)));
            Ok(Fee { minor: minor.map_err(|_| AmountError::OutOfRange)?, fine: Some(fine) })
        }
        Err(error) => Err(error),
    }
}

/// Reads a decimal number in 10^-12 units.
fn parse_fine(text: &[u8], mark: u8, decimals: u8) -> Result<i128, AmountError> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    let at = digits.iter().position(|&byte| byte == mark).ok_or(AmountError::Malformed)?;
    let (whole, fraction) = (&digits[..at], &digits[at + 1..]);
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(AmountError::Malformed);
    }
    let (kept, surplus) = fraction.split_at(fraction.len().min(usize::from(decimals)));
    if surplus.iter().any(|&digit| digit != b'0') {
        return Err(AmountError::SurplusDigits(decimals));
    }
    let whole = if whole.is_empty() { 0 } else { i128::from(parse_minor(whole)?) };
    let kept_value = kept.iter().fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    let missing = usize::from(FEE_SCALE) - kept.len();
    let fraction = (0..missing).fold(kept_value, |value, _| value * 10);
    Ok(sign * (whole * minor_unit(0) + fraction))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_way_agrees_with_the_long_one(text in "[-+]{0,1}[0-9.,x ]{0,18}", exponent in 0_u8..=4) {
            prop_assert_eq!(parse_money(text.as_bytes(), exponent, b'.'), parse_scaled(text.as_bytes(), exponent, b'.'));
        }
    }

    proptest! {
        #[test]
        fn a_window_holds_what_its_text_says(
            before in "[0-9,]{8}",
            text in "[0-9]{0,6}[.,:]{0,1}[0-9]{0,4}",
            decimals in 0_u8..=4,
        ) {
            let all = format!("{before}{text}");
            let found = window_amount(*all.as_bytes().last_chunk().unwrap(), text.len(), decimals, b'.');
            if let Some(amount) = found {
                prop_assert_eq!(Some(amount), short_amount(text.as_bytes(), decimals, b'.'), "{}", text);
            }
            let plain = match text.split_once('.') {
                Some((whole, fraction)) => !whole.is_empty() && fraction.len() == usize::from(decimals),
                None => decimals == 0,
            };
            let in_reach = plain && (1..=8).contains(&text.len()) && !text.ends_with('.');
            let in_reach = in_reach && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            prop_assert_eq!(found.is_some(), in_reach, "{}", text);
        }
    }

    #[test]
    fn minor_units_have_no_decimal_mark() {
        assert_eq!(parse_minor(b" -1250 "), Ok(-1250));
        assert_eq!(parse_minor(b"12.00"), Err(AmountError::Malformed));
    }

    #[test]
    fn fees_keep_their_digits() {
        let fee = |text: &str| parse_fee(text.as_bytes(), 2, b'.', 5);
        assert_eq!(fee("0.95"), Ok(Fee { minor: 95, fine: None }));
        assert_eq!(fee("0.95000000"), Ok(Fee { minor: 95, fine: None }));
        assert_eq!(fee("0.00345"), Ok(Fee { minor: 0, fine: Some(3_450_000_000) }));
        assert_eq!(fee("-1.235"), Ok(Fee { minor: -124, fine: Some(-1_235_000_000_000) }));
        assert_eq!(fee("0.000001"), Err(AmountError::SurplusDigits(5)));
        assert_eq!(fee("0.001x"), Err(AmountError::Malformed));
        assert_eq!(fee("0.001.5"), Err(AmountError::Malformed));
        assert_eq!(fee("99999999999999999999.001"), Err(AmountError::OutOfRange));
    }
}
