//! What a campaign does: which faults, how often, and how much load.

use std::time::Duration;

use clap::ValueEnum;

/// One kind of trouble, or all kinds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FaultSet {
    /// No faults: what the load alone does.
    None,
    /// An instance is killed (`kill -9`) and started again.
    KillApp,
    /// PostgreSQL is killed, all of its processes, and started again.
    KillPostgres,
    /// An instance, or PostgreSQL, stands still for a while (`SIGSTOP`).
    Pause,
    /// Connections end around a `COMMIT`: before it arrives, or after it and before its answer.
    CutCommit,
    /// Nothing passes between an instance and PostgreSQL for a while.
    Partition,
    /// The instances' clocks are ten minutes apart.
    Clocks,
    /// Commits are slow and each instance has two connections.
    Slow,
    /// Everything together.
    All,
}

impl FaultSet {
    /// All sets that two instances on PostgreSQL are put through.
    pub const EVERY: [Self; 9] = [
        Self::None,
        Self::KillApp,
        Self::KillPostgres,
        Self::Pause,
        Self::CutCommit,
        Self::Partition,
        Self::Clocks,
        Self::Slow,
        Self::All,
    ];

    /// As it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::KillApp => "kill-app",
            Self::KillPostgres => "kill-postgres",
            Self::Pause => "pause",
            Self::CutCommit => "cut-commit",
            Self::Partition => "partition",
            Self::Clocks => "clocks",
            Self::Slow => "slow",
            Self::All => "all",
        }
    }

    /// Whether the instances' clocks are wrong all the time.
    pub(crate) fn skews_clocks(self) -> bool {
        matches!(self, Self::Clocks | Self::All)
    }

    /// Whether commits are slow and connections few all the time.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::Slow | Self::All)
    }

    /// The faults to choose from while the load runs; empty when the trouble is there from the beginning.
    pub(crate) fn faults(self) -> &'static [Fault] {
        match self {
            Self::None | Self::Clocks | Self::Slow => &[],
            Self::KillApp => &[Fault::KillApp],
            Self::KillPostgres => &[Fault::KillPostgres],
            Self::Pause => &[Fault::PauseApp, Fault::PauseApp, Fault::PausePostgres],
            Self::CutCommit => &[Fault::CutCommit],
            Self::Partition => &[Fault::Partition],
            Self::All => &[
                Fault::KillApp,
                Fault::KillPostgres,
                Fault::PauseApp,
                Fault::PausePostgres,
                Fault::CutCommit,
                Fault::Partition,
            ],
        }
    }
}

/// What happens at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    KillApp,
    KillPostgres,
    PauseApp,
    PausePostgres,
    CutCommit,
    Partition,
}

/// How one set is run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many operations are sent; more when the faults are not through by then.
    pub operations: u64,
    /// Where everything that is chosen at random begins.
    pub seed: u64,
    /// How many callers send at once.
    pub callers: usize,
    /// How many merchants there are beside the two that get most of the load.
    pub merchants: usize,
    /// About how long it is from one fault to the next.
    pub fault_every: Duration,
    /// How many faults there are at least.
    pub least_faults: u64,
}

impl Plan {
    /// A set of this many operations under a fault every three seconds.
    pub fn new(operations: u64, seed: u64) -> Self {
        Self {
            operations,
            seed,
            callers: 96,
            merchants: 100,
            fault_every: Duration::from_secs(3),
            least_faults: 3,
        }
    }

    /// Small enough for a test: faults come as fast as the processes are up again.
    pub fn short(operations: u64, seed: u64) -> Self {
        Self {
            callers: 24,
            merchants: 20,
            fault_every: Duration::from_millis(400),
            least_faults: 2,
            ..Self::new(operations, seed)
        }
    }
}
