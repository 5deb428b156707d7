//! What serde says, in words for callers: no type names of ours, both languages, the right path.

use serde_ignored::Path;

use crate::error::{Error, FieldError};

/// Where an unknown field stands, in the notation of `data.fields`.
pub(in crate::http) fn ignored_path(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", ignored_path(parent)),
        Path::Map { parent, key } => join(&ignored_path(parent), key),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            ignored_path(parent)
        }
    }
}

/// The error for what a deserializer met at `path`.
pub(in crate::http) fn fault(path: &str, error: &impl ToString) -> Error {
    let text = error.to_string();
    // serde_json appends the place in the text; the path says it better.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let path = if path == "." { "" } else { path };
    Error::invalid_fields(vec![explain(path, text)])
}

fn explain(path: &str, text: &str) -> FieldError {
    if let Some(name) = quoted_after(text, "missing field ") {
        return FieldError::new(join(path, name), "is required", "必填");
    }
    if let Some(name) = quoted_after(text, "unknown field ") {
        // The path may already end in the field.
        let path = path.strip_suffix(name).map_or(path, |parent| parent.trim_end_matches('.'));
        return FieldError::new(join(path, name), "is not a known field", "未知字段");
    }
    if let Some(name) = quoted_after(text, "duplicate field ") {
        return FieldError::new(join(path, name), "is given twice", "字段重复");
    }
    if let Some(rest) = text.strip_prefix("unknown variant ") {
        // Every other part stands between backticks; how they are joined depends on how many there are.
        let expected = rest.split_once(", expected ").map_or("", |(_, expected)| expected);
        let allowed = expected.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(", ");
        return FieldError::new(
            path,
            format!("is not one of: {allowed}"),
            format!("不是以下之一：{allowed}"),
        );
    }
    let misfit = ["invalid type: ", "invalid value: ", "invalid length "];
    if misfit.iter().any(|start| text.starts_with(start)) {
        let expected = text.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
        let (en, zh) = expectation(expected);
        return FieldError::new(path, format!("must be {en}"), format!("必须为{zh}"));
    }
    if let Some((en, zh)) = unreadable(text) {
        return FieldError::new(path, format!("must be {en}"), format!("必须为{zh}"));
    }
    // The text was found well-formed before, so this is a value of another kind than an enum is written as.
    if text.starts_with("expected ") {
        return FieldError::new(path, "does not have the right form", "格式不正确");
    }
    // Our own types speak for themselves.
    FieldError::new(path, text.to_owned(), text.to_owned())
}

/// What the standard library says about values of a query that it cannot read.
fn unreadable(text: &str) -> Option<(&'static str, &'static str)> {
    match text {
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => Some(WHOLE_NUMBER),
        // What chrono says of a time that it cannot read, or of a day.
        "premature end of input"
        | "input contains invalid characters"
        | "input is out of range"
        | "trailing input"
        | "no possible date and time matching input"
        | "input is not enough for unique date and time" => Some((
            "a time with its zone, such as 2026-12-01T00:00:00Z; a day, where one is asked for, such as 2026-12-01",
            "带时区的时间（如 2026-12-01T00:00:00Z）；需要日期时为 2026-12-01",
        )),
        "provided string was not `true` or `false`" => Some(("true or false", "true 或 false")),
        _ => None,
    }
}

const WHOLE_NUMBER: (&str, &str) = ("a whole number within range", "范围内的整数");

fn quoted_after<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    text.strip_prefix(start)?.split('`').nth(1)
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// serde's name for what it wanted, in words. What it is called in our code is nobody's business.
fn expectation(serde: &str) -> (&'static str, &'static str) {
    let first = serde.split([' ', '`']).next().unwrap_or_default();
    match first {
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => WHOLE_NUMBER,
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => {
            ("a whole number within range, not negative", "范围内的非负整数")
        }
        "f32" | "f64" => ("a number", "数字"),
        "boolean" => ("true or false", "true 或 false"),
        "struct" | "map" => ("an object", "对象"),
        "tuple" | "sequence" => ("an array", "数组"),
        _ => named(serde),
    }
}

fn named(serde: &str) -> (&'static str, &'static str) {
    let has = |word| serde.contains(word);
    if has("UUID") || has("uuid") {
        ("a UUID", "UUID")
    } else if has("RFC 3339") || has("date and time") || has("datetime") {
        ("an RFC 3339 time", "RFC 3339 时间")
    } else if has("date") {
        ("a date, YYYY-MM-DD", "日期（YYYY-MM-DD）")
    } else if has("a map") || has("struct") {
        ("an object", "对象")
    } else if has("a sequence") || has("an array") {
        ("an array", "数组")
    } else if has("a boolean") {
        ("true or false", "true 或 false")
    } else if has("string") || has("a character") || has("enum") || has("variant") {
        ("a text", "文本")
    } else {
        ("of another form", "其他格式")
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::super::parse;
    use crate::error::Language;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read from text")]
    struct Order {
        amount: i64,
        count: Option<u8>,
        mode: Option<Mode>,
        items: Option<Vec<Item>>,
        note: Option<String>,
        paid: Option<bool>,
        id: Option<uuid::Uuid>,
        day: Option<chrono::NaiveDate>,
        at: Option<chrono::DateTime<chrono::Utc>>,
        currency: Option<payops_core::currency::Currency>,
        tags: Option<std::collections::BTreeMap<String, String>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Daily,
        Monthly,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from text")]
    struct Item {
        sku: String,
    }

    #[test]
    fn every_fault_has_its_place_and_words() {
        for (body, path, words) in [
            ("{}", "amount", "is required"),
            (r#"{"amount":1,"amount":2}"#, "amount", "is given twice"),
            (r#"{"amount":1,"x":2}"#, "x", "is not a known field"),
            (r#"{"amount":1,"items":[{"sku":"a"},{"sku":"b","y":1}]}"#, "items[1].y", "is not a known field"),
            (r#"{"amount":1,"items":[{"sku":"a"},{}]}"#, "items[1].sku", "is required"),
            (r#"{"amount":1,"items":[{"sku":"a","sku":"b"}]}"#, "items[0].sku", "is given twice"),
            (r#"{"amount":1,"tags":{"a":"1","a":"2"}}"#, "tags.a", "is given twice"),
            (r#"{"amount":1.5}"#, "amount", "must be a whole number within range"),
            (r#"{"amount":"1"}"#, "amount", "must be a whole number within range"),
            (r#"{"amount":9223372036854775808}"#, "amount", "must be a whole number within range"),
            (r#"{"amount":null}"#, "amount", "must be a whole number within range"),
            (r#"{"amount":1,"count":-1}"#, "count", "must be a whole number within range, not negative"),
            (r#"{"amount":1,"mode":"hourly"}"#, "mode", "is not one of: daily, monthly"),
            (r#"{"amount":1,"mode":7}"#, "mode", "does not have the right form"),
            (r#"{"amount":1,"items":{}}"#, "items", "must be an array"),
            (r#"{"amount":1,"items":["a"]}"#, "items[0]", "must be an object"),
            (r#"{"amount":1,"note":5}"#, "note", "must be a text"),
            (r#"{"amount":1,"paid":"yes"}"#, "paid", "must be true or false"),
            (r#"{"amount":1,"tags":[]}"#, "tags", "must be an object"),
            ("[]", "", "must be an object"),
            ("7", "", "must be an object"),
            ("", "", "a JSON body is required"),
            (r#"{"amount":1"#, "", "is not well-formed JSON: see line 1, column 11"),
            (r#"{"amount":1} x"#, "", "is not well-formed JSON: see line 1, column 14"),
            ("{\"amount\":1,\"note\":\"\u{1}\"}", "", "is not well-formed JSON: see line 1, column 21"),
        ] {
            let error = parse::<Order>(body.as_bytes()).unwrap_err();
            assert_eq!(
                error.data().unwrap(),
                json!({"fields": [{"path": path, "message": words}]}),
                "{body}"
            );
        }
    }

    #[test]
    fn types_of_others_are_put_into_words_too() {
        for (body, path) in [
            (r#"{"amount":1,"id":"x"}"#, "id"),
            (r#"{"amount":1,"id":5}"#, "id"),
            (r#"{"amount":1,"day":"yesterday"}"#, "day"),
            (r#"{"amount":1,"at":"noon"}"#, "at"),
            (r#"{"amount":1,"currency":"dollars"}"#, "currency"),
        ] {
            let error = parse::<Order>(body.as_bytes()).unwrap_err();
            let [field] = error.fields() else { panic!("{body}: {error:?}") };
            assert_eq!(field.path, path, "{body}");
            for leak in ["struct", "NaiveDate", "Currency", "::", "line "] {
                assert!(!field.text.en.contains(leak), "{body}: {}", field.text.en);
            }
        }
    }

    #[test]
    fn several_unknown_fields_are_all_named() {
        let error = parse::<Order>(br#"{"amount":1,"x":1,"y":{"z":1}}"#).unwrap_err();
        let paths = error.fields().iter().map(|field| field.path.as_str()).collect::<Vec<_>>();
        assert_eq!(paths, ["x", "y"]);
        assert_eq!(error.data_in(Language::Chinese).unwrap()["fields"][0]["message"], "未知字段");
    }

    #[test]
    fn depth_is_limited_before_anything_recurses() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let error = parse::<Order>(deep.as_bytes()).unwrap_err();
        assert_eq!(error.fields()[0].text.en, "is nested too deeply");
    }

    #[test]
    fn a_body_of_invalid_utf8_is_malformed() {
        let error = parse::<Order>(b"{\"amount\":1,\"note\":\"\xff\"}").unwrap_err();
        assert!(error.fields()[0].text.en.starts_with("is not well-formed JSON"), "{error:?}");
    }
}
