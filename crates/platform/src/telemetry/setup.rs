//! Setting up and ending telemetry.

use std::fmt;
use std::io::{self, IsTerminal};
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanExporter as _};
use payops_core::time::{Clock, SystemClock};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::export::Sender;
use super::fields::SpanFields;
use super::filter::LineFilter;
use super::log::JsonLog;

/// How long the end of a process waits for its collector.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For eyes.
    Terminal,
}

/// How a process tells about itself.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// The name under which traces are exported, and of log lines that belong to no service in particular.
    pub service: &'static str,
    /// The form of log lines; they go to stderr.
    pub format: LogFormat,
    /// Which lines are kept: `info`, or directives such as `info,payops_recon=debug`.
    pub filter: String,
    /// Where traces go: an OTLP address over HTTP, such as `http://jaeger:4318`. `None` exports none.
    pub otlp_endpoint: Option<String>,
    /// The share of traces that begin here and are exported, 0 to 1; a caller's decision is always followed.
    pub sample_ratio: f64,
    /// Where the time of log lines comes from.
    pub clock: Arc<dyn Clock>,
}

impl TelemetrySettings {
    /// JSON lines at `info`, no traces.
    pub fn new(service: &'static str) -> Self {
        Self {
            service,
            format: LogFormat::default(),
            filter: String::from("info"),
            otlp_endpoint: None,
            sample_ratio: 1.0,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter has a part that cannot be read.
    #[error("the log filter '{filter}' cannot be read: {why}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// The exporter of traces refuses its address.
    #[error("traces cannot be exported to '{endpoint}': {why}")]
    Exporter {
        /// The address as given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// Telemetry is set up already.
    #[error("telemetry is set up once in a process")]
    Twice,
}

/// Keeps traces flowing. Call [`TelemetryGuard::shutdown`] at the end, or the last spans are lost.
#[derive(Debug)]
pub struct TelemetryGuard {
    sender: Option<Sender>,
}

/// Sets up logs and traces for the whole process. Call it inside the runtime.
pub fn init(settings: &TelemetrySettings) -> Result<TelemetryGuard, TelemetryError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| TelemetryError::Filter {
        filter: settings.filter.clone(),
        why: error.to_string(),
    })?;
    let exporter =
        settings.otlp_endpoint.as_deref().map(|endpoint| exporter(settings, endpoint)).transpose()?;
    let (traces, sender) = exporter.map(|exporter| trace_layer(settings, exporter)).unzip();
    subscriber(settings, filter, traces, BoxMakeWriter::new(io::stderr))
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    if settings.format == LogFormat::Json {
        log_panics();
    }
    Ok(TelemetryGuard { sender })
}

impl TelemetryGuard {
    /// Sends what is left and ends. Waits a few seconds for a collector that does not answer.
    pub async fn shutdown(self) {
        let Some(sender) = self.sender else { return };
        if tokio::time::timeout(LAST_WORDS, sender.stop()).await.is_err() {
            tracing::warn!("the last spans are lost: the collector did not answer in time");
        }
    }
}

/// What every span and line of the process goes through.
fn subscriber(
    settings: &TelemetrySettings,
    filter: EnvFilter,
    traces: Option<OpenTelemetryLayer<Spans, SdkTracer>>,
    writer: BoxMakeWriter,
) -> impl Subscriber + Send + Sync {
    // Boxed, not optional: an optional layer is not told which subscriber it belongs to.
    let lines: Box<dyn Layer<_> + Send + Sync> = match settings.format {
        LogFormat::Json => Box::new(JsonLog::new(settings.service, Arc::clone(&settings.clock), writer)),
        LogFormat::Terminal => {
            let lines = tracing_subscriber::fmt::layer().compact().with_target(false).with_writer(writer);
            Box::new(lines.with_ansi(io::stderr().is_terminal()))
        }
    };
    Registry::default().with(LineFilter(filter)).with(SpanFields).with(traces).with(lines)
}

/// What lies below the layer of traces.
type Spans = Layered<SpanFields, Layered<LineFilter, Registry>>;

fn trace_layer<S>(
    settings: &TelemetrySettings,
    exporter: SpanExporter,
) -> (OpenTelemetryLayer<S, SdkTracer>, Sender)
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let root = if settings.sample_ratio >= 1.0 {
        Sampler::AlwaysOn
    } else {
        Sampler::TraceIdRatioBased(settings.sample_ratio)
    };
    let (batches, sender) = Sender::start(exporter);
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(root)))
        .with_span_processor(batches)
        .build();
    let layer = OpenTelemetryLayer::new(provider.tracer("payops"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    (layer, sender)
}

fn exporter(settings: &TelemetrySettings, endpoint: &str) -> Result<SpanExporter, TelemetryError> {
    let refused = |why: &dyn fmt::Display| TelemetryError::Exporter {
        endpoint: endpoint.to_owned(),
        why: why.to_string(),
    };
    let url = reqwest::Url::parse(endpoint).map_err(|error| refused(&error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused(&"it is neither http nor https"));
    }
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(traces_address(&url))
        .with_timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| refused(&error))?;
    let resource = Resource::builder()
        .with_service_name(settings.service)
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

/// The base address of a collector leads to `/v1/traces`; a full one is taken as it is.
fn traces_address(url: &reqwest::Url) -> String {
    if url.path() == "/" || url.path().is_empty() {
        format!("{}/v1/traces", url.as_str().trim_end_matches('/'))
    } else {
        url.to_string()
    }
}

/// Makes a panic a line of the log, with its place and its trace.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;

    use super::*;

    #[test]
    fn a_collector_s_address_may_be_short() {
        let address = |url: &str| traces_address(&url.parse().unwrap());
        assert_eq!(address("http://jaeger:4318"), "http://jaeger:4318/v1/traces");
        assert_eq!(address("http://jaeger:4318/"), "http://jaeger:4318/v1/traces");
        assert_eq!(address("https://x/otlp/v1/traces"), "https://x/otlp/v1/traces");
    }

    #[tokio::test]
    async fn lines_of_a_traced_span_have_its_trace() {
        let settings = TelemetrySettings {
            // Nobody listens there, and nothing is sent before the test ends.
            otlp_endpoint: Some("http://127.0.0.1:9".into()),
            ..TelemetrySettings::new("x")
        };
        let exporter = exporter(&settings, "http://127.0.0.1:9").unwrap();
        let (traces, _sender) = trace_layer(&settings, exporter);
        let (reader, writer) = io::pipe().unwrap();
        let lines = BoxMakeWriter::new(move || writer.try_clone().unwrap());
        let subscriber = subscriber(&settings, EnvFilter::new("info"), Some(traces), lines);
        let trace_id = tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("outer").in_scope(|| tracing::info!("said"));
            let span = tracing::info_span!("outer");
            tracing::info!(parent: &span, "again");
            crate::telemetry::trace_id_of(&span).unwrap().to_string()
        });
        let lines = io::BufReader::new(reader).lines().map(Result::unwrap);
        let lines: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(&line).unwrap()).collect();
        assert_eq!(lines[0]["trace_id"].as_str().unwrap().len(), 32);
        assert_eq!(lines[1]["trace_id"], trace_id);
    }

    #[tokio::test]
    async fn bad_settings_are_named() {
        let bad = TelemetrySettings { filter: "info,=".into(), ..TelemetrySettings::new("x") };
        assert!(matches!(init(&bad), Err(TelemetryError::Filter { .. })));
        for endpoint in ["nonsense", "ftp://x"] {
            let bad =
                TelemetrySettings { otlp_endpoint: Some(endpoint.into()), ..TelemetrySettings::new("x") };
            assert!(matches!(init(&bad), Err(TelemetryError::Exporter { .. })), "{endpoint}");
        }
    }
}
