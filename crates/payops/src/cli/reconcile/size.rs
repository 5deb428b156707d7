//! Sizes as people write them.

/// The least memory that the command accepts.
const LEAST: u64 = 16 << 20;

/// Reads "64MiB", "1GiB", "500MB" or a number of bytes.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err("a size such as 64MiB or 1GiB is expected".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a size such as 64MiB or 1GiB is expected".to_owned())?;
    let bytes = number.checked_mul(unit).ok_or_else(|| "the size is beyond 64 bits".to_owned())?;
    if bytes < LEAST { Err("at least 16MiB are needed".to_owned()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_exactly_or_refused() {
        assert_eq!(parse("1GiB"), Ok(1 << 30));
        assert_eq!(parse("64 mib"), Ok(64 << 20));
        assert_eq!(parse("500MB"), Ok(500_000_000));
        assert_eq!(parse("16777216"), Ok(16 << 20));
        for bad in [
            "",
            "GiB",
            "1.5GiB",
            "-1GiB",
            "1GiBs",
            "15MiB",
            "0",
            "99999999999999999999",
            "18446744073709551615k",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
