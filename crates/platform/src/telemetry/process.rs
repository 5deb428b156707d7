//! The process's own figures, read when the page is read.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Linux counts processor time in hundredths of a second towards programs, whatever the kernel ticks at.
const TICKS_PER_SECOND: u64 = 100;

/// Shows processor time, memory, tasks of the runtime and the build.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = Figures::read();
        if let Some(seconds) = figures.cpu_seconds {
            let help = "Processor time used, user and system.";
            ConstCounter::new(seconds).encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                MetricType::Counter,
            )?)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Memory in use.", figures.memory_bytes),
            ("runtime_tasks", "Tasks alive in the runtime.", Some(figures.tasks)),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
            }
        }
        let mut build = encoder.encode_descriptor("build_info", "Always 1.", None, MetricType::Gauge)?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        ConstGauge::new(1_u64).encode(build.encode_family(&version)?)
    }
}

/// What the system says; a figure that it does not give stands on no page.
struct Figures {
    cpu_seconds: Option<f64>,
    memory_bytes: Option<u64>,
    tasks: u64,
}

impl Figures {
    fn read() -> Self {
        let tasks =
            tokio::runtime::Handle::try_current().ok().map(|handle| handle.metrics().num_alive_tasks());
        Self {
            cpu_seconds: fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds),
            memory_bytes: fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes),
            tasks: tasks.and_then(|tasks| u64::try_from(tasks).ok()).unwrap_or(0),
        }
    }
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name, in parentheses, may hold blanks: count from its end. utime and stime are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    let hundredths = u32::try_from(ticks % TICKS_PER_SECOND).ok()?;
    let whole = u32::try_from(ticks / TICKS_PER_SECOND).ok()?;
    Some(f64::from(whole) + f64::from(hundredths) / 100.0)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_tables_are_read() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("42 (x) S 1"), None);
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t  12 kB\n"), Some(12 * 1024));
        assert!(Figures::read().memory_bytes.unwrap() > 0);
    }
}
