//! Log lines as JSON: `level`, `ts`, `caller`, `msg`, `service`, `trace_id`, then the fields of the event and
//! of the spans around it.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, OnceLock};

use chrono::SecondsFormat;
use payops_core::time::Clock;
use tracing::dispatcher::WeakDispatch;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Fields, push_quoted};
use super::trace::{TRACE_ID_FIELD, TraceId, trace_id_in};

/// Names that every line has; a field that is called so gets an underscore in front.
const OWN_NAMES: [&str; 4] = ["level", "ts", "caller", "msg"];

/// Writes one JSON object a line.
pub(super) struct JsonLog {
    service: &'static str,
    clock: Arc<dyn Clock>,
    writer: BoxMakeWriter,
    dispatch: OnceLock<WeakDispatch>,
}

impl JsonLog {
    pub(super) fn new(service: &'static str, clock: Arc<dyn Clock>, writer: BoxMakeWriter) -> Self {
        Self { service, clock, writer, dispatch: OnceLock::new() }
    }

    fn line(&self, metadata: &Metadata<'_>, fields: &Fields, around: &Around) -> String {
        let ts = self.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let caller = Caller(metadata);
        let level = level(*metadata.level());
        let mut line = format!(r#"{{"level":"{level}","ts":"{ts}","caller":"{caller}","msg":"#);
        push_quoted(&mut line, &fields.message);
        let named =
            |name: &str| fields.get(name).is_some() || around.fields.iter().any(|(known, _)| *known == name);
        if !named("service") {
            push_field(&mut line, "service", &format!("\"{}\"", self.service));
        }
        if let Some(trace_id) = around.trace_id.filter(|_| !named(TRACE_ID_FIELD)) {
            push_field(&mut line, TRACE_ID_FIELD, &format!("\"{trace_id}\""));
        }
        for (name, json) in &around.fields {
            if fields.get(name).is_none() {
                push_field(&mut line, name, json);
            }
        }
        for (name, json) in fields.iter() {
            push_field(&mut line, name, json);
        }
        line.push_str("}\n");
        line
    }

    fn around<S>(&self, event: &Event<'_>, context: &Context<'_, S>) -> Around
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let mut around = Around::default();
        let Some(innermost) = context.event_span(event) else { return around };
        for span in innermost.scope().from_root() {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<Fields>() else { continue };
            for (name, json) in fields.iter() {
                match around.fields.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => json.clone_into(known),
                    None => around.fields.push((name, json.to_owned())),
                }
            }
        }
        let dispatch = self.dispatch.get().and_then(WeakDispatch::upgrade);
        around.trace_id = dispatch.and_then(|dispatch| trace_id_in(&dispatch, &innermost.id()));
        around
    }
}

/// What the spans around an event say.
#[derive(Default)]
struct Around {
    fields: Vec<(&'static str, String)>,
    trace_id: Option<TraceId>,
}

impl<S> Layer<S> for JsonLog
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // A second registration means that the same layer was wrapped again: the first stays right.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = self.line(event.metadata(), &fields, &self.around(event, &context));
        // There is nowhere to say that the log cannot be written.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

fn push_field(line: &mut String, name: &str, json: &str) {
    line.push_str(if OWN_NAMES.contains(&name) { ",\"_" } else { ",\"" });
    line.push_str(name);
    line.push_str("\":");
    line.push_str(json);
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Where an event was written: file and line of the source.
struct Caller<'m>(&'m Metadata<'m>);

impl fmt::Display for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file().unwrap_or("unknown"), self.0.line().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use payops_core::time::ManualClock;
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::fields::SpanFields;
    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(write: impl FnOnce()) -> Vec<serde_json::Value> {
        let lines = Lines::default();
        let clock = ManualClock::new(chrono::DateTime::from_timestamp(1_729_852_245, 123_000_000).unwrap());
        let writer = lines.clone();
        let layer = JsonLog::new(
            "reconciliation-service",
            Arc::new(clock),
            BoxMakeWriter::new(move || writer.clone()),
        );
        tracing::subscriber::with_default(tracing_subscriber::registry().with(SpanFields).with(layer), write);
        let written = lines.0.lock().unwrap().clone();
        let text = String::from_utf8(written).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_original_s_fields() {
        let lines = logged(|| {
            tracing::info!(task_no = "RECON-1", duration_ms = 1200, "Task execution completed");
        });
        let line = &lines[0];
        assert_eq!(line["level"], "info");
        assert_eq!(line["ts"], "2024-10-25T10:30:45.123Z");
        assert_eq!(line["msg"], "Task execution completed");
        assert_eq!(line["service"], "reconciliation-service");
        assert_eq!((&line["task_no"], &line["duration_ms"]), (&"RECON-1".into(), &1200.into()));
        assert!(line["caller"].as_str().unwrap().contains("telemetry/log.rs:"));
    }

    #[test]
    fn spans_lend_their_fields() {
        let lines = logged(|| {
            let outer =
                tracing::info_span!("outer", service = "x", task_id = 1, trace_id = tracing::field::Empty);
            outer.record("trace_id", "abc");
            outer.in_scope(|| {
                tracing::info_span!("inner", task_id = 2).in_scope(|| tracing::warn!(task_id = 3, "deep"));
                tracing::error!("shallow");
            });
        });
        assert_eq!((&lines[0]["task_id"], &lines[0]["service"]), (&3.into(), &"x".into()));
        assert_eq!((&lines[1]["task_id"], &lines[1]["trace_id"]), (&1.into(), &"abc".into()));
    }

    #[test]
    fn nothing_forges_a_line_or_a_field() {
        let lines = logged(|| {
            tracing::info!(name = "a\"\n{\"level\":\"fatal\"}", level = "mine", share = f64::NAN, "x\ny");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["level"], "info");
        assert_eq!(lines[0]["_level"], "mine");
        assert_eq!(lines[0]["msg"], "x\ny");
        assert_eq!(lines[0]["share"], "NaN");
    }
}
