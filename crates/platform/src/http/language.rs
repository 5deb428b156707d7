//! Which language a caller reads.

use http::header::ACCEPT_LANGUAGE;
use http::{HeaderMap, HeaderValue};

use crate::error::Language;

/// English, unless `Accept-Language` prefers Chinese. Of two that are liked equally, the first named wins.
pub(super) fn preferred(headers: &HeaderMap) -> Language {
    headers
        .get(ACCEPT_LANGUAGE)
        .map(HeaderValue::as_bytes)
        .and_then(|value| std::str::from_utf8(value).ok())
        .map_or(Language::English, from_header)
}

fn from_header(value: &str) -> Language {
    let mut best = (0, Language::English);
    for range in value.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default();
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        let language = match primary.to_ascii_lowercase().as_str() {
            "zh" => Language::Chinese,
            "en" | "*" => Language::English,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1000), thousandths);
        if let Some(weight) = weight
            && weight > best.0
        {
            best = (weight, language);
        }
    }
    best.1
}

/// A weight as `0`, `1`, or with up to three decimals. Anything else makes its range count for nothing.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_decide() {
        for (header, chinese) in [
            ("", false),
            ("zh", true),
            ("zh-CN,zh;q=0.9,en;q=0.8", true),
            ("en-US,en;q=0.9,zh-CN;q=0.8", false),
            ("en;q=0.5, zh-Hans;q=0.501", true),
            ("en;q=0.5,zh;q=0.5", false),
            ("zh;q=0.5,en;q=0.5", true),
            ("zh;q=0", false),
            ("zh;q=1.1", false),
            ("zh;q=abc, en;q=0.1", false),
            ("fr, zh;q=0.1", true),
            ("*, zh;q=0.9", false),
            ("ZH_cn", true),
            ("zh;level=1;q=0.7,en;q=0.6", true),
        ] {
            assert_eq!(from_header(header) == Language::Chinese, chinese, "{header}");
        }
    }
}
