//! Sending spans in batches, from the runtime that everything else runs on.
//!
//! The SDK's own processors do not fit: one calls the exporter from a thread without a runtime, where the HTTP
//! client cannot work and every span is lost; the other wakes its task for every single span, which costs more
//! than the span. Here a span is put into a list, and a task takes the list away.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A list of this length is sent at once.
const BATCH: usize = 2048;
/// Shorter ones are sent so often.
const PAUSE: Duration = Duration::from_secs(1);
/// While the collector is slow or away, this many spans wait; what comes then is dropped.
const MOST_WAITING: usize = 16 * BATCH;
/// How long one batch may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes spans as they end.
pub(super) struct Batches(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    spans: Mutex<Vec<SpanData>>,
    enough: Notify,
    dropped: AtomicU64,
}

impl Waiting {
    /// Takes what waits, and leaves room for as much again, so that the list need not grow under its lock.
    fn take(&self) -> Vec<SpanData> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Vec::with_capacity(spans.len().min(BATCH));
        mem::replace(&mut *spans, room)
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").finish_non_exhaustive()
    }
}

/// The task that sends.
#[derive(Debug)]
pub(super) struct Sender {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Sender {
    /// Starts sending with `exporter`, which already knows its resource.
    pub(super) fn start<E: SpanExporter + 'static>(exporter: E) -> (Batches, Self) {
        let waiting = Arc::new(Waiting::default());
        let stop = CancellationToken::new();
        let task = tokio::spawn(send(exporter, Arc::clone(&waiting), stop.clone()));
        (Batches(waiting), Self { task, stop })
    }

    /// Sends what waits, and ends.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        // A task that panicked has nothing left to send.
        let _ = self.task.await;
    }
}

async fn send<E: SpanExporter>(exporter: E, waiting: Arc<Waiting>, stop: CancellationToken) {
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = waiting.enough.notified() => {}
            () = stop.cancelled() => stopping = true,
        }
        let mut spans = waiting.take();
        while !spans.is_empty() {
            let rest = spans.split_off(spans.len().min(BATCH));
            let batch = mem::replace(&mut spans, rest);
            match tokio::time::timeout(PATIENCE, exporter.export(batch)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a batch of spans was lost"),
                Err(_) => tracing::warn!("a batch of spans was lost: the collector did not answer in time"),
            }
        }
        let dropped = waiting.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "spans were dropped: the collector takes them too slowly");
        }
    }
}

impl SpanProcessor for Batches {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let mut spans = self.0.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() >= MOST_WAITING {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        spans.push(span);
        // Once for each full batch: a wake-up costs more than everything else here.
        if spans.len().is_multiple_of(BATCH) {
            self.0.enough.notify_one();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.enough.notify_one();
        Ok(())
    }

    /// Nothing to do: [`Sender::stop`] ends the sending, without blocking a thread of the runtime.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
