//! One error type for operations, stores and handlers.
//!
//! An error has two texts that never meet: what a caller may read, in English and Chinese, and what only
//! the log may hold. A response is made of [`Error::kind`], [`Error::code`], [`Error::text`] and
//! [`Error::data`]; [`Error::internal`] goes to the log.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

mod database;

/// What most functions of the platform and of the services return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The few classes of errors. The class alone decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400: the request is malformed, or a field of it is invalid.
    BadRequest,
    /// 401: nobody known is calling.
    Unauthorized,
    /// 403: the caller is known and may not do this.
    Forbidden,
    /// 404: there is no such thing, or not for this caller.
    NotFound,
    /// 408: the client was too slow in sending its request.
    ClientTimeout,
    /// 409: the state of the resource, or a duplicate, stands against it.
    Conflict,
    /// 410: it was there and was destroyed.
    Gone,
    /// 412: the version that the caller edited is not the newest.
    PreconditionFailed,
    /// 413: the body is larger than this endpoint reads.
    PayloadTooLarge,
    /// 415: the body is of a type that this endpoint does not read.
    UnsupportedMediaType,
    /// 422: well-formed, and refused by a rule.
    Unprocessable,
    /// 429: more requests than the caller's budget.
    TooManyRequests,
    /// 500: our fault.
    Internal,
    /// 503: overloaded, or something that is needed is away; worth another try.
    Unavailable,
}

impl ErrorKind {
    /// The HTTP status of the class.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::ClientTimeout => 408,
            Self::Conflict => 409,
            Self::Gone => 410,
            Self::PreconditionFailed => 412,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Unprocessable => 422,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

/// The languages that people are answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English, the default.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

/// One sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// English.
    pub en: Cow<'static, str>,
    /// Simplified Chinese.
    pub zh: Cow<'static, str>,
}

impl Text {
    /// Pairs the two wordings.
    pub fn new(en: impl Into<Cow<'static, str>>, zh: impl Into<Cow<'static, str>>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }

    /// The wording in `language`.
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::English => &self.en,
            Language::Chinese => &self.zh,
        }
    }
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where the field is, such as `items[2].amount`; empty for the body as a whole.
    pub path: String,
    /// What is wrong with it.
    pub text: Text,
}

impl FieldError {
    /// Names a field and what is wrong with it.
    pub fn new(
        path: impl Into<String>,
        en: impl Into<Cow<'static, str>>,
        zh: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { path: path.into(), text: Text::new(en, zh) }
    }
}

/// An error with a public face and an internal one.
///
/// `Display` shows the public face only. `Debug` shows both: it is for logs and failing tests, never for a
/// response.
pub struct Error(Box<Parts>);

struct Parts {
    kind: ErrorKind,
    code: &'static str,
    text: Text,
    fields: Vec<FieldError>,
    data: Option<Value>,
    internal: Option<String>,
    retry_after: Option<Duration>,
    retryable: bool,
    unique_violation: bool,
}

impl Error {
    /// An error with its class, its stable upper-snake code and its text in both languages.
    pub fn new(
        kind: ErrorKind,
        code: &'static str,
        en: impl Into<Cow<'static, str>>,
        zh: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Parts {
            kind,
            code,
            text: Text::new(en, zh),
            fields: Vec::new(),
            data: None,
            internal: None,
            retry_after: None,
            retryable: false,
            unique_violation: false,
        }))
    }

    /// 400 `INVALID_REQUEST` about one field; the field stands in the error's data.
    pub fn invalid_field(
        path: impl Into<String>,
        en: impl Into<Cow<'static, str>>,
        zh: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::invalid_fields(vec![FieldError::new(path, en, zh)])
    }

    /// 400 `INVALID_REQUEST` about several fields, all of which stand in the error's data.
    pub fn invalid_fields(fields: Vec<FieldError>) -> Self {
        let mut error = Self::new(
            ErrorKind::BadRequest,
            "INVALID_REQUEST",
            "The request is invalid; data.fields says what is wrong where.",
            "请求无效，详见 data.fields。",
        );
        error.0.fields = fields;
        error
    }

    /// 500 `INTERNAL_ERROR`: the caller learns nothing but that; `source` with its causes is for the log.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        let mut text = source.to_string();
        let mut cause = source.source();
        while let Some(next) = cause {
            let said = next.to_string();
            // Many error types repeat their cause in their own text.
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = next.source();
        }
        Self::new(
            ErrorKind::Internal,
            "INTERNAL_ERROR",
            "Something went wrong on our side.",
            "服务内部错误。",
        )
        .with_internal(text)
    }

    /// An internal error for a row that no version of payops can have written.
    pub fn impossible_row(
        table: &'static str,
        column: &'static str,
        row_id: impl fmt::Display,
        why: impl fmt::Display,
    ) -> Self {
        Self::internal(format!("impossible row: {table}.{column} of row {row_id}: {why}"))
    }

    /// 503 `UNAVAILABLE` with a `Retry-After`; `why` is for the log.
    pub fn unavailable(why: impl fmt::Display, retry_after: Duration) -> Self {
        Self::new(
            ErrorKind::Unavailable,
            "UNAVAILABLE",
            "The service is busy, or something it needs is away. Try again shortly.",
            "服务繁忙或暂时不可用，请稍后重试。",
        )
        .with_internal(why.to_string())
        .with_retry_after(retry_after)
    }

    /// The disk of the service, or of its database, is full.
    pub fn no_room(why: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Unavailable,
            "UNAVAILABLE",
            "There is no room left on the service's disk; nothing was changed. Whoever runs it has to make room.",
            "服务的磁盘空间已满；未做任何更改，请联系运维人员清理空间。",
        )
        .with_internal(why.to_string())
        .with_retry_after(Duration::from_secs(5))
    }

    /// Adds what the caller may read besides the text.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.0.data = Some(data);
        self
    }

    /// Adds what only the log may hold; a text that is there already stays in front.
    #[must_use]
    pub fn with_internal(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.0.internal = Some(match self.0.internal.take() {
            Some(before) => format!("{before}; {text}"),
            None => text,
        });
        self
    }

    /// Says when another try makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Marks an error that the same transaction, run once more, may not meet again.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    /// The class.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable code, upper snake.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What the caller may read.
    pub fn text(&self) -> &Text {
        &self.0.text
    }

    /// What only the log may hold.
    pub fn internal_text(&self) -> Option<&str> {
        self.0.internal.as_deref()
    }

    /// The invalid fields of the request, when the error is about fields.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// What stands in `data` of the answer, in English.
    pub fn data(&self) -> Option<Value> {
        self.data_in(Language::English)
    }

    /// What stands in `data` of the answer. Fields appear as `{"fields":[{"path","message"}]}`.
    pub fn data_in(&self, language: Language) -> Option<Value> {
        if self.0.fields.is_empty() {
            return self.0.data.clone();
        }
        let fields: Vec<Value> = self
            .0
            .fields
            .iter()
            .map(|field| json!({ "path": field.path, "message": field.text.in_language(language) }))
            .collect();
        Some(json!({ "fields": fields }))
    }

    /// When another try makes sense, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the same transaction, run once more, may succeed: the write door then does so.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Whether a unique index stood against the statement.
    pub fn unique_violation(&self) -> bool {
        self.0.unique_violation
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.text.en)?;
        for field in &self.0.fields {
            write!(f, " [{}: {}]", field.path, field.text.en)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Error");
        shown.field("kind", &self.0.kind).field("code", &self.0.code).field("text", &self.0.text.en);
        if let Some(data) = self.data() {
            shown.field("data", &format_args!("{data}"));
        }
        if let Some(internal) = &self.0.internal {
            shown.field("internal", internal);
        }
        shown.finish()
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_faces_stay_apart() {
        let error = Error::internal("password of db is hunter2").with_data(json!({"a": 1}));
        assert_eq!(error.kind().status(), 500);
        assert!(!error.to_string().contains("hunter2"));
        assert!(!error.text().zh.contains("hunter2"));
        assert_eq!(error.internal_text(), Some("password of db is hunter2"));
        assert_eq!(error.data(), Some(json!({"a": 1})));
    }

    #[test]
    fn causes_are_told_once() {
        let cause = std::io::Error::other("disk on fire");
        let error = Error::internal(crate::db::DbOpenError::Io { path: "x.db".into(), source: cause });
        let internal = error.internal_text().unwrap();
        assert_eq!(internal.matches("disk on fire").count(), 1, "{internal}");
    }

    #[test]
    fn fields_speak_the_callers_language() {
        let error = Error::invalid_fields(vec![
            FieldError::new("task_date", "is required", "必填"),
            FieldError::new("items[2].amount", "is not an integer", "不是整数"),
        ]);
        assert_eq!((error.kind(), error.code()), (ErrorKind::BadRequest, "INVALID_REQUEST"));
        assert_eq!(
            error.data_in(Language::Chinese).unwrap(),
            json!({"fields": [
                {"path": "task_date", "message": "必填"},
                {"path": "items[2].amount", "message": "不是整数"},
            ]})
        );
        assert_eq!(error.data().unwrap()["fields"][0]["message"], "is required");
    }

    #[test]
    fn an_impossible_row_is_named() {
        let error = Error::impossible_row("jobs", "state", 7, "'dancing' is no state");
        assert_eq!(error.internal_text(), Some("impossible row: jobs.state of row 7: 'dancing' is no state"));
    }
}
