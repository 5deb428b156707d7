//! Texts that people write, checked before they are kept.

use serde_json::Value;

use crate::error::{Error, FieldError, Result};

/// Refuses a text that is too short, too long, or holds a NUL, which PostgreSQL cannot keep; `path` names the
/// field. A text that shows nothing to a reader counts as empty.
pub fn check_text(path: &str, text: &str, least: usize, most: usize) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid_field(path, "NUL characters are not accepted", "不允许包含 NUL 字符"));
    }
    if least > 0 && is_blank(text) {
        return Err(Error::invalid_field(
            path,
            format!("{path} needs at least {least} visible characters"),
            format!("{path} 至少需要 {least} 个可见字符"),
        ));
    }
    let length = text.trim().chars().count();
    if (least..=most).contains(&length) {
        return Ok(());
    }
    Err(Error::invalid_field(
        path,
        format!("{path} has {length} characters; {least} to {most} are accepted"),
        format!("{path} 有 {length} 个字符；允许 {least} 到 {most} 个"),
    ))
}

/// As [`check_text`], for what stands on one line: control characters are refused, and blanks around it.
pub fn check_line(path: &str, text: &str, least: usize, most: usize) -> Result<()> {
    check_text(path, text, least, most)?;
    if text.chars().any(char::is_control) {
        return Err(Error::invalid_field(path, "control characters are not accepted", "不允许包含控制字符"));
    }
    if text.trim() != text {
        return Err(Error::invalid_field(path, "blanks around the text are not accepted", "首尾不能有空白"));
    }
    Ok(())
}

/// Replaces every NUL in a JSON value, names included: PostgreSQL keeps none, and a word from outside that was signed is not
/// refused for a character that means nothing.
pub fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(fields) => {
            let whole = std::mem::take(fields);
            fields.extend(whole.into_iter().map(|(name, mut value)| {
                replace_nul(&mut value);
                (name.replace('\0', "\u{fffd}"), value)
            }));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Everything that is wrong with a request, told at once.
#[derive(Debug, Default)]
pub struct Problems(Vec<FieldError>);

impl Problems {
    /// Takes note of what a check found; the value of one that found nothing comes back.
    pub fn note<T>(&mut self, checked: Result<T>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.extend_from_slice(error.fields());
                None
            }
        }
    }

    /// Takes note of a field.
    pub fn refuse(
        &mut self,
        path: impl Into<String>,
        en: impl Into<std::borrow::Cow<'static, str>>,
        zh: impl Into<std::borrow::Cow<'static, str>>,
    ) {
        self.0.push(FieldError::new(path, en, zh));
    }

    /// 400 that names every field, if there is any.
    pub fn none(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::invalid_fields(self.0)) }
    }
}

/// Whether a text shows nothing to a reader.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_invisible)
}

/// Whether a character is white space, a control character, or one of the characters of Unicode that have no width or no ink.
pub fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_no_text() {
        for text in ["", "  \t\n", "\u{200b}", "\u{feff} \u{2060}", "\u{3164}", "\u{2800}\u{a0}"] {
            assert!(is_blank(text), "{text:?}");
            assert!(check_text("note", text, 1, 10).is_err(), "{text:?}");
        }
        for text in ["x", "费", " . ", "e\u{301}", "👩\u{200d}💻"] {
            assert!(check_text("note", text, 1, 10).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert!(check_line("name", "a b", 1, 10).is_ok());
        for text in ["a\nb", " a", "a ", "a\u{7}", "a\0", ""] {
            assert!(check_line("name", text, 1, 10).is_err(), "{text:?}");
        }
    }
}
