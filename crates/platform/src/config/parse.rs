//! How values are written. Each function says, when it fails, what is expected.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::Environment;
use crate::db::SslMode;
use crate::outbound::SmtpSecurity;
use crate::telemetry::LogFormat;

pub(super) type Parsed<T> = Result<T, String>;

#[expect(clippy::unnecessary_wraps, reason = "stands where functions that may fail stand")]
pub(super) fn text(written: &str) -> Parsed<String> {
    Ok(written.to_owned())
}

pub(super) fn environment(written: &str) -> Parsed<Environment> {
    match written {
        "development" => Ok(Environment::Development),
        "production" => Ok(Environment::Production),
        _ => Err("development or production is expected".to_owned()),
    }
}

pub(super) fn address(written: &str) -> Parsed<IpAddr> {
    written.parse().map_err(|_| "an IP address is expected, such as 127.0.0.1 or ::".to_owned())
}

/// A host without anything around it. Whole addresses would carry credentials to where hosts are shown.
pub(super) fn host(written: &str) -> Parsed<String> {
    let socket = written.starts_with('/');
    if written
        .contains(|letter: char| "@?#".contains(letter) || letter.is_whitespace() || letter.is_control())
        || written.contains('/') && !socket
    {
        return Err("a host alone is expected, such as db.internal; port, user, password and database have \
                    settings of their own"
            .to_owned());
    }
    // More than one colon is an IPv6 address.
    if !socket && written.matches(':').count() == 1 {
        return Err("a host alone is expected; the port has a setting of its own".to_owned());
    }
    Ok(written.to_owned())
}

/// A host that is reached over the network.
pub(super) fn network_host(written: &str) -> Parsed<String> {
    if written.starts_with('/') {
        return Err("a host is expected, not a path".to_owned());
    }
    host(written)
}

pub(super) fn port(written: &str) -> Parsed<u16> {
    match written.parse() {
        Ok(0) | Err(_) => Err("a port is expected, 1 to 65535".to_owned()),
        Ok(port) => Ok(port),
    }
}

/// A whole number within bounds.
pub(super) fn count(least: u32, most: u32) -> impl Fn(&str) -> Parsed<u32> {
    move |written| {
        let number = written.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("a whole number is expected, {least} to {most}"))
    }
}

pub(super) fn per_minute(written: &str) -> Parsed<NonZeroU32> {
    written.parse().map_err(|_| format!("a whole number is expected, 1 to {}", u32::MAX))
}

pub(super) fn share(written: &str) -> Parsed<f64> {
    let share: Option<f64> = written.parse().ok();
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "a number is expected, 0 to 1".to_owned())
}

/// A number with its unit, within bounds.
pub(super) fn duration(least: Duration, most: Duration) -> impl Fn(&str) -> Parsed<Duration> {
    move |written| {
        let parsed = parse_duration(written).filter(|length| (least..=most).contains(length));
        parsed.ok_or_else(|| {
            format!(
                "a whole number with its unit (ms, s, m, h, d) is expected, {} to {}",
                show_duration(least),
                show_duration(most)
            )
        })
    }
}

const MILLISECOND: u64 = 1;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn parse_duration(written: &str) -> Option<Duration> {
    let digits = written.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = written.split_at(digits);
    let unit = match unit.trim() {
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return None,
    };
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(unit)?))
}

/// A duration as it would be written.
pub(super) fn show_duration(length: Duration) -> String {
    let milliseconds = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
    let whole = units.into_iter().find(|(unit, _)| milliseconds > 0 && milliseconds.is_multiple_of(*unit));
    let (unit, name) = whole.unwrap_or((MILLISECOND, "ms"));
    format!("{}{name}", milliseconds / unit)
}

/// A number of bytes, with or without a unit.
pub(super) fn bytes(written: &str) -> Parsed<u64> {
    let expected = || "a number of bytes is expected, such as 65536, 512KiB, 1MiB or 2GiB".to_owned();
    let digits = written.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(written.len());
    let (number, unit) = written.split_at(digits);
    let unit: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(expected)
}

/// The address of something that speaks HTTP, without a slash at its end.
pub(super) fn url(written: &str) -> Parsed<String> {
    let exact = exact_url(written)?;
    Ok(exact.trim_end_matches('/').to_owned())
}

/// The address of something that speaks HTTP, as it is written.
pub(super) fn exact_url(written: &str) -> Parsed<String> {
    let expected = || "an address is expected, such as https://api.stripe.com".to_owned();
    let url = reqwest::Url::parse(written).map_err(|_| expected())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(expected());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong into an address".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an address without ? and # is expected".to_owned());
    }
    Ok(written.to_owned())
}

pub(super) fn flag(written: &str) -> Parsed<bool> {
    written.parse().map_err(|_| "true or false is expected".to_owned())
}

pub(super) fn smtp_security(written: &str) -> Parsed<SmtpSecurity> {
    match written {
        "starttls" => Ok(SmtpSecurity::StartTls),
        "tls" => Ok(SmtpSecurity::Tls),
        "none" => Ok(SmtpSecurity::None),
        _ => Err("one of starttls, tls, none is expected".to_owned()),
    }
}

/// Whom mail comes from.
pub(super) fn mailbox(written: &str) -> Parsed<String> {
    let parsed = written.parse::<lettre::message::Mailbox>();
    parsed.map(|_| written.to_owned()).map_err(|_| "name@host or Name <name@host> is expected".to_owned())
}

/// Whom mail goes to.
pub(super) fn mail_addresses(written: &str) -> Parsed<Vec<String>> {
    let addresses: Vec<String> =
        written.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match addresses.iter().find(|address| address.parse::<lettre::Address>().is_err()) {
        Some(_) => Err("addresses like name@host are expected, separated by commas".to_owned()),
        None => Ok(addresses),
    }
}

pub(super) fn ssl_mode(written: &str) -> Parsed<SslMode> {
    SslMode::ALL
        .into_iter()
        .find(|mode| mode.name() == written)
        .ok_or_else(|| format!("one of {} is expected", SslMode::ALL.map(SslMode::name).join(", ")))
}

pub(super) fn log_format(written: &str) -> Parsed<LogFormat> {
    match written {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Terminal),
        _ => Err("json or text is expected".to_owned()),
    }
}

pub(super) fn log_filter(written: &str) -> Parsed<String> {
    // A word alone would pass as the name of a module and silence everything else.
    let words = written.split(',').map(str::trim).filter(|part| !part.contains(['=', '[']));
    let levels =
        words.into_iter().all(|word| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok());
    if levels && tracing_subscriber::EnvFilter::try_new(written).is_ok() {
        return Ok(written.to_owned());
    }
    Err("a level (error, warn, info, debug, trace, off) or directives such as info,payops_recon=debug are \
         expected"
        .to_owned())
}

/// A name that PostgreSQL takes without quotes, which is what people expect of it.
pub(super) fn database_name(written: &str) -> Parsed<String> {
    let fits = written.len() <= 63
        && written.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if fits {
        Ok(written.to_owned())
    } else {
        Err("a database name is expected: letters, digits, _ and -, at most 63".to_owned())
    }
}

/// A bucket, by the rules that Amazon has for new ones. It becomes a part of a path or of a host.
pub(super) fn bucket(written: &str) -> Parsed<String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = written.as_bytes();
    let fits = (3..=63).contains(&bytes.len()) && bytes.iter().all(|byte| inner(*byte));
    if fits && ends(bytes.first()) && ends(bytes.last()) && !written.contains("..") {
        Ok(written.to_owned())
    } else {
        Err("the name of a bucket is expected: 3 to 63 small letters, digits, dots and hyphens".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_go_there_and_back() {
        for (written, milliseconds) in
            [("250ms", 250), ("1s", 1000), ("5m", 300_000), ("24h", 86_400_000), ("90d", 7_776_000_000)]
        {
            assert_eq!(parse_duration(written), Some(Duration::from_millis(milliseconds)));
        }
        for shown in ["250ms", "1s", "5m", "1d", "90d", "0ms"] {
            assert_eq!(show_duration(parse_duration(shown).unwrap()), shown);
        }
        for wrong in
            ["", "5", "s", "-1s", "1.5h", "5 weeks", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bytes_know_their_units() {
        assert_eq!((bytes("1MiB"), bytes("65536"), bytes("2 KiB")), (Ok(1 << 20), Ok(65536), Ok(2048)));
        assert!(
            ["", "0", "1MB", "MiB", "-1", "99999999999999999999", "18446744073709551615GiB"]
                .iter()
                .all(|wrong| bytes(wrong).is_err())
        );
    }
}
