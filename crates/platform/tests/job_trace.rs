//! The trace of whoever enqueues a job goes on in the job. A program of its own, since a subscriber for traces is
//! one a process.

use std::sync::{Arc, OnceLock};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use payops_core::random::SeededRandom;
use payops_core::time::SystemClock;
use payops_platform::ServiceContext;
use payops_platform::db::testing::TestDb;
use payops_platform::jobs::{EnqueueOptions, Job, JobError, Lease, Runner, Worker, enqueue};
use payops_platform::telemetry::{Metrics, TraceId, current_trace_id};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

payops_platform::both_databases!(&[]; the_trace_of_the_cause_goes_on_in_the_job);

#[derive(Serialize, Deserialize)]
struct Look;

impl Job for Look {
    const NAME: &'static str = "test.look";
}

struct TellsTheTrace(mpsc::UnboundedSender<Option<TraceId>>);

impl Worker<Look> for TellsTheTrace {
    async fn run(&self, _: Look, _: Lease) -> Result<(), JobError> {
        self.0.send(current_trace_id()).expect("the test listens");
        Ok(())
    }
}

fn trace() {
    static SET: OnceLock<()> = OnceLock::new();
    SET.get_or_init(|| {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
            .expect("the first and only subscriber");
    });
}

async fn the_trace_of_the_cause_goes_on_in_the_job(db: TestDb) {
    trace();
    let random = Arc::new(SeededRandom::new(5));
    let context = ServiceContext::new(
        "test-service",
        db.db(),
        Arc::new(SystemClock),
        random,
        Metrics::new("test-service"),
    );
    let (cause, inner) = (tracing::info_span!("cause", trace_id = tracing::field::Empty), context.clone());
    let enqueued = db.write("put", move |tx| {
        let context = inner.clone();
        Box::pin(async move { enqueue(tx, &context, &Look, EnqueueOptions::default()).await })
    });
    enqueued.instrument(cause.clone()).await.expect("the job is enqueued");
    let (sender, mut seen) = mpsc::unbounded_channel();
    Runner::new(context).register(TellsTheTrace(sender)).run_until_idle().await;
    let expected = cause.in_scope(current_trace_id);
    assert!(expected.is_some());
    assert_eq!(seen.try_recv(), Ok(expected));
}
