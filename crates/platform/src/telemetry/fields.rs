//! The fields of a span or an event, each already written as JSON.

use std::fmt::{self, Write};
use std::ops::Range;

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Fields in the order in which they came; a later value of a name replaces the earlier one.
///
/// Every request makes one of these, so the values share one text.
#[derive(Debug)]
pub(super) struct Fields {
    places: Vec<(&'static str, Range<usize>)>,
    json: String,
    /// The event's message, plain.
    pub(super) message: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self { places: Vec::with_capacity(8), json: String::with_capacity(256), message: String::new() }
    }
}

impl Fields {
    /// Names and values, the values as JSON.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.places.iter().map(|(name, place)| (*name, self.json.get(place.clone()).unwrap_or_default()))
    }

    /// The value of a name, as JSON.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(known, json)| (known == name).then_some(json))
    }

    fn put(&mut self, field: &Field, write: impl FnOnce(&mut String)) {
        let name = field.name();
        // What steers the trace exporter is no news for a reader of logs.
        if name.starts_with("otel.") {
            return;
        }
        let start = self.json.len();
        write(&mut self.json);
        let place = start..self.json.len();
        match self.places.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = place,
            None => self.places.push((name, place)),
        }
    }

    fn put_shown(&mut self, field: &Field, value: impl fmt::Display) {
        self.put(field, |json| {
            // Writing to memory cannot fail.
            let _ = write!(json, "{value}");
        });
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            text.clone_into(&mut self.message);
        } else {
            self.put(field, |json| push_quoted(json, text));
        }
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put_shown(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put_shown(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity.
        if value.is_finite() {
            self.put_shown(field, value);
        } else {
            self.put_text(field, &value.to_string());
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put_shown(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }
}

/// Keeps the fields of every span beside it, for log lines and for the trace id.
pub(super) struct SpanFields;

impl<S> Layer<S> for SpanFields
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }
}

/// Appends `text` as a JSON string: line breaks and quotes in it cannot forge a second line or field.
pub(super) fn push_quoted(json: &mut String, text: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        // A string always becomes JSON.
        json.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}
