//! The demo's clock: ours, ahead by as much as its stories have moved it. It is kept beside the databases, which never see
//! time go back.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::TimeDelta;
use payops_core::time::{Clock, SystemClock, Timestamp};
use payops_sandbox::{AdvanceAll, SandboxHandle, VirtualClock};

/// The clock of everything in the demo: services, Stripe and the payment gateway.
#[derive(Clone)]
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

    /// The way in which the sandbox moves it.
    pub(super) fn mover(&self) -> AdvanceAll {
        let clock = self.clone();
        AdvanceAll(Arc::new(move |by| clock.advance(by)))
    }

    /// Moves the clock ahead, once that is written down.
    fn advance(&self, by: TimeDelta) -> io::Result<()> {
        let ahead = self.clock.ahead().checked_add(&by).and_then(|ahead| ahead.num_microseconds());
        let ahead = ahead.ok_or_else(|| io::Error::other("the clock would be too far ahead"))?;
        let (file, fresh) = (&self.file, self.file.with_extension("new"));
        std::fs::write(&fresh, ahead.to_string())
            .and_then(|()| std::fs::rename(&fresh, file))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
        self.clock.advance(by);
        Ok(())
    }

    /// Lets time pass until an instant, and has Stripe do what is due by then.
    pub(super) fn pass_until(&self, instant: Timestamp, stripe: &SandboxHandle) -> Result<()> {
        self.advance((instant - self.clock.now()).max(TimeDelta::zero()))
            .context("the clock is not moved")?;
        stripe.advance(TimeDelta::zero());
        Ok(())
    }
}
