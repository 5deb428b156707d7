//! The demo's clock: ours, ahead by as much as its stories have moved it. It is kept beside the databases, which never see
//! time go back.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::TimeDelta;
use payops_core::time::{Clock, SystemClock, Timestamp};
use payops_sandbox::{SandboxHandle, VirtualClock};

/// The clock of everything in the demo: services, Stripe and the payment gateway.
pub(super) struct DemoClock {
    clock: Arc<VirtualClock>,
    file: PathBuf,
}

impl DemoClock {
    /// The clock of a folder, as far ahead as an earlier demo left it.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("clock-ahead-micros");
        let ahead = match std::fs::read_to_string(&file) {
            Ok(text) => text.trim().parse().with_context(|| format!("{} holds no number", file.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        };
        let clock = Arc::new(VirtualClock::new(Arc::new(SystemClock)));
        clock.advance(TimeDelta::microseconds(ahead));
        Ok(Self { clock, file })
    }

    /// The clock, for those who look at it.
    pub(super) fn shared(&self) -> Arc<dyn Clock> {
        Arc::<VirtualClock>::clone(&self.clock)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass until an instant, and has Stripe do what is due by then.
    pub(super) fn pass_until(&self, instant: Timestamp, stripe: &SandboxHandle) -> Result<()> {
        let by = (instant - self.clock.now()).max(TimeDelta::zero());
        let ahead = (self.clock.ahead() + by).num_microseconds().context("the clock is too far ahead")?;
        let (file, fresh) = (&self.file, self.file.with_extension("new"));
        std::fs::write(&fresh, ahead.to_string())
            .and_then(|()| std::fs::rename(&fresh, file))
            .with_context(|| format!("{} cannot be written", file.display()))?;
        self.clock.advance(by);
        stripe.advance(TimeDelta::zero());
        Ok(())
    }
}
