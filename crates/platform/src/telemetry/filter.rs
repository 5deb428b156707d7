//! Which lines are written and which spans exist.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::Context;

/// Applies the configured filter to log lines. Spans are not its business: those of payops always exist, so
/// that a quiet log still has trace ids and a complete trace, and those of libraries never do.
pub(super) struct LineFilter(pub(super) EnvFilter);

impl<S: Subscriber> Layer<S> for LineFilter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !metadata.is_span() {
            Layer::<S>::register_callsite(&self.0, metadata)
        } else if wanted(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        if metadata.is_span() { wanted(metadata) } else { self.0.enabled(metadata, context) }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&self.0).map(|lines| lines.max(LevelFilter::INFO))
    }
}

fn wanted(span: &Metadata<'_>) -> bool {
    *span.level() <= Level::INFO && span.target().starts_with("payops")
}
