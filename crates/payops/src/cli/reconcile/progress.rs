//! How far the work is: a bar on a terminal, now and then a line elsewhere. Always on stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use payops_recon::engine::{Observer, Phase, Progress};

use payops_recon::report::Words;

/// How long work may take before a plain line tells of it, and the time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Shows progress.
pub(super) struct Display {
    language: Words,
    bar: Option<ProgressBar>,
    lines: Mutex<Lines>,
}

struct Lines {
    phase: Option<Phase>,
    furthest: u64,
    last: Instant,
}

impl Display {
    pub(super) fn new(language: Words) -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::no_length);
        Self { language, bar, lines: Mutex::new(Lines { phase: None, furthest: 0, last: Instant::now() }) }
    }

    /// Shows how `work` goes.
    pub(super) fn observe<T>(&self, work: impl FnOnce(Observer<'_>) -> T) -> T {
        work(Observer { progress: &|progress| self.show(progress), cancelled: &|| false })
    }

    fn show(&self, progress: Progress) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let phase_begins = lines.phase != Some(progress.phase);
        if phase_begins {
            lines.phase = Some(progress.phase);
            lines.furthest = 0;
        }
        // Two threads report: a late report must not move the bar back.
        lines.furthest = lines.furthest.max(progress.done);
        match &self.bar {
            Some(bar) => {
                if phase_begins {
                    bar.set_style(style(progress.phase));
                    bar.set_length(progress.total);
                    bar.set_message(self.phase(progress.phase));
                }
                bar.set_position(lines.furthest);
            }
            None if lines.last.elapsed() >= LINE_EVERY => {
                lines.last = Instant::now();
                let percent = (lines.furthest * 100).checked_div(progress.total).unwrap_or(100);
                say(&format!("{} {percent}%", self.phase(progress.phase)));
            }
            None => {}
        }
    }

    fn phase(&self, phase: Phase) -> &'static str {
        match phase {
            Phase::Reading => self.language.pick("reading", "读取"),
            Phase::Matching => self.language.pick("matching", "匹配"),
        }
    }

    /// The differences are being written.
    pub(super) fn writing(&self, differences: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.language.pick("writing", "写出"));
        } else if self.lines.lock().unwrap_or_else(PoisonError::into_inner).last.elapsed() >= LINE_EVERY {
            say(&format!("{} {differences}", self.language.pick("writing differences:", "写出差异：")));
        }
    }

    /// Removes the bar: results follow.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(phase: Phase) -> ProgressStyle {
    let template = match phase {
        Phase::Reading => "{msg:10} [{bar:40}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
        Phase::Matching => "{msg:10} [{bar:40}] {percent}%",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn say(line: &str) {
    // Progress that nobody can read is no reason to stop.
    let _ = writeln!(io::stderr(), "{line}");
}
