//! The metrics of a process, in one registry that several services may share.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::process::ProcessCollector;

/// Upper bounds in seconds for things that should be quick: requests, statements, calls.
pub const LATENCY_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The upper bounds that the histograms of a family start with.
#[derive(Debug, Clone, Copy)]
pub struct Buckets(pub &'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// Histograms that differ in their labels only.
pub type HistogramFamily<L> = Family<L, Histogram, Buckets>;

/// The metrics of one service, in a registry of its own whose every line carries the label `service`.
/// Clones share it.
///
/// Families are asked for by name as often as one likes: the first call registers, later ones get the same
/// family. Keep what `get_or_create_owned` gives where a path is hot.
#[derive(Clone)]
pub struct Metrics {
    service: &'static str,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    registry: Registry,
    families: HashMap<&'static str, Box<dyn Any + Send>>,
}

impl Metrics {
    /// The metrics of `service`, with the process's own figures among them.
    pub fn new(service: &'static str) -> Self {
        let mut registry = Registry::with_labels([(Cow::from("service"), Cow::from(service))].into_iter());
        registry.register_collector(Box::new(ProcessCollector));
        let shared = Shared { registry, families: HashMap::new() };
        Self { service, shared: Arc::new(Mutex::new(shared)) }
    }

    /// The service whose metrics these are: the value of the label `service`.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Counters called `name` without `_total`, which the page adds.
    pub fn counters<L: Labels>(&self, name: &'static str, help: &'static str) -> Family<L, Counter> {
        self.family(name, help, Family::default)
    }

    /// Gauges called `name`.
    pub fn gauges<L: Labels>(&self, name: &'static str, help: &'static str) -> Family<L, Gauge> {
        self.family(name, help, Family::default)
    }

    /// Histograms called `name`, which ends in its unit (`_seconds`).
    pub fn histograms<L: Labels>(
        &self,
        name: &'static str,
        help: &'static str,
        buckets: &'static [f64],
    ) -> HistogramFamily<L> {
        self.family(name, help, || Family::new_with_constructor(Buckets(buckets)))
    }

    /// Any other metric, registered at its first mention.
    ///
    /// A name that is taken by a metric of another type gives a metric that works but stands on no page.
    pub fn family<M: Metric + Clone>(
        &self,
        name: &'static str,
        help: &'static str,
        make: impl FnOnce() -> M,
    ) -> M {
        let mut shared = self.lock();
        if let Some(known) = shared.families.get(name) {
            return known.downcast_ref::<M>().cloned().unwrap_or_else(|| {
                tracing::error!(metric = name, "a metric was asked for with two different types");
                make()
            });
        }
        let metric = make();
        shared.registry.register(name, help, metric.clone());
        shared.families.insert(name, Box::new(metric.clone()));
        metric
    }

    /// Lends the registry, for metrics that are kept elsewhere.
    pub fn register_with(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.lock().registry);
    }

    /// The page that Prometheus reads, in the `OpenMetrics` text format.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut page = String::with_capacity(16 * 1024);
        text::encode(&mut page, &self.lock().registry)?;
        Ok(page)
    }

    /// One page of several services in one process: each name is described once.
    pub fn render_all(services: &[Self]) -> Result<String, fmt::Error> {
        let pages = services.iter().map(Self::render).collect::<Result<Vec<_>, _>>()?;
        Ok(merge(&pages))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("service", &self.service).finish_non_exhaustive()
    }
}

/// What a set of labels must be able to do. A struct with `#[derive(Clone, Debug, Hash, PartialEq, Eq,
/// EncodeLabelSet)]` can, and so can `[(&'static str, String); N]`.
pub trait Labels: EncodeLabelSet + Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static {}

impl<T: EncodeLabelSet + Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static> Labels for T {}

/// Joins pages: what they say about one metric must stand together, below one description.
fn merge(pages: &[String]) -> String {
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for page in pages {
        let mut current = None;
        for line in page.lines().filter(|line| *line != "# EOF") {
            if let Some(named) = line.strip_prefix("# HELP ") {
                let name = named.split(' ').next().unwrap_or(named);
                let known = sections.iter().position(|(known, _)| *known == name);
                current = Some((known.unwrap_or(sections.len()), known.is_some()));
                if known.is_none() {
                    sections.push((name, Vec::new()));
                }
            }
            if let Some((index, described)) = current
                && !(described && line.starts_with('#'))
                && let Some((_, lines)) = sections.get_mut(index)
            {
                lines.push(line);
            }
        }
    }
    let mut merged = String::with_capacity(pages.iter().map(String::len).sum());
    for line in sections.iter().flat_map(|(_, lines)| lines).chain(&["# EOF"]) {
        merged.push_str(line);
        merged.push('\n');
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    type One = [(&'static str, &'static str); 1];

    #[test]
    fn a_family_is_registered_once_and_labelled_by_service() {
        let metrics = Metrics::new("dispute-service");
        for _ in 0..2 {
            metrics.counters::<One>("jobs", "Jobs run.").get_or_create(&[("job", "sync")]).inc();
        }
        let page = metrics.render().unwrap();
        assert!(page.contains("jobs_total{service=\"dispute-service\",job=\"sync\"} 2"), "{page}");
        assert_eq!(page.matches("# TYPE jobs ").count(), 1, "{page}");
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "runtime_tasks"] {
            assert!(page.contains(&format!("{name}{{service=\"dispute-service\"}} ")), "{page}");
        }
        assert!(page.contains("build_info{service=\"dispute-service\",version=\""), "{page}");
    }

    #[test]
    fn services_of_one_process_share_a_page() {
        let all = [Metrics::new("a"), Metrics::new("b")];
        for metrics in &all {
            metrics.histograms::<One>("x_seconds", "X.", &[1.0]).get_or_create(&[("k", "v")]).observe(0.5);
        }
        let page = Metrics::render_all(&all).unwrap();
        let types = page.lines().filter(|line| line.starts_with("# TYPE")).collect::<Vec<_>>();
        let mut unique = types.clone();
        unique.dedup();
        assert_eq!(types, unique, "{page}");
        assert!(page.contains("x_seconds_count{service=\"a\",k=\"v\"} 1"), "{page}");
        assert!(page.contains("x_seconds_count{service=\"b\",k=\"v\"} 1"), "{page}");
        assert!(page.ends_with("# EOF\n") && page.matches("# EOF").count() == 1, "{page}");
    }

    #[test]
    fn a_name_has_one_type() {
        let metrics = Metrics::new("x");
        metrics.counters::<One>("a", "A.").get_or_create(&[("k", "v")]).inc();
        metrics.gauges::<One>("a", "A.").get_or_create(&[("k", "v")]).set(7_777);
        assert!(!metrics.render().unwrap().contains("7777"));
    }
}
