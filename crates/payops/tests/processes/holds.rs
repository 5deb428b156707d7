//! Ways to keep a task in one phase until the test lets it go.

use std::path::{Path, PathBuf};

use payops_platform::db::{Backend, DatabaseTarget, Db};
use payops_sandbox::{Fault, FaultKind, FaultTarget};
use sea_orm::{ConnectionTrait, Database, DatabaseTransaction, TransactionTrait};
use tokio::process::Command;

use crate::harness::{Instance, Kind, Site, count, until};

/// Longer than any test.
const FOR_EVER: u64 = 3_600_000;
/// Time to put a pipe in a file's place.
const A_WHILE: u64 = 4_000;

const COUNT_FOR_HOURS: &str = "CREATE TRIGGER hold AFTER INSERT ON reconciliation_runs BEGIN
    SELECT count(*) FROM (WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number)
        SELECT n FROM number LIMIT 100000000000);
END";

/// A phase in which a task is to be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupted {
    Downloading,
    Fetching,
    Matching,
    Saving,
}

/// What keeps the task where it is.
pub(crate) enum Hold {
    /// The other side does not answer.
    Silence,
    /// A pipe stands in the place of the settlement file: whoever opens it waits.
    Pipe { file: PathBuf, moved: PathBuf },
    /// The run's own row cannot be written, after all records were.
    Lock { db: Db, transaction: DatabaseTransaction },
    /// The same without locks: whoever writes that row counts for hours first.
    Trigger,
}

impl Interrupted {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Downloading => "downloading",
            Self::Fetching => "fetching",
            Self::Matching => "matching",
            Self::Saving => "saving",
        }
    }

    /// Prepares the hold, before the task begins.
    pub(crate) async fn prepare(self, site: &Site, kind: Kind) -> Hold {
        let slow = |target, ms| {
            site.sandbox.handle().add_fault(Fault::once(target, FaultKind::Slow { ms })).unwrap();
            Hold::Silence
        };
        match (self, kind) {
            (Self::Downloading, _) => slow(FaultTarget::StripeDownload, FOR_EVER),
            (Self::Fetching, _) => slow(FaultTarget::GatewayFeed, FOR_EVER),
            (Self::Matching, _) => slow(FaultTarget::GatewayFeed, A_WHILE),
            (Self::Saving, Kind::Sqlite) => {
                change(site, COUNT_FOR_HOURS).await;
                Hold::Trigger
            }
            (Self::Saving, Kind::Postgres) => {
                let db = site.database().await;
                assert_eq!(db.backend(), Backend::Postgres);
                let transaction = db.read().begin().await.unwrap();
                let lock = "LOCK TABLE reconciliation_runs IN SHARE MODE";
                transaction.execute_unprepared(lock).await.unwrap();
                Hold::Lock { db, transaction }
            }
        }
    }
}

impl Hold {
    /// Waits until the task is in its phase and can go no further.
    pub(crate) async fn reached(
        self,
        phase: Interrupted,
        site: &Site,
        instance: &mut Instance,
        id: &str,
    ) -> Self {
        let mut hold = self;
        if phase == Interrupted::Matching {
            instance.watch(id, |task| task["phase"] == "fetching").await;
            hold = Self::pipe(site).await;
        }
        instance.watch(id, |task| task["phase"] == phase.name()).await;
        match &hold {
            Self::Lock { db, .. } => {
                let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'reconciliation_runs'::regclass";
                until("the run waits for the lock", async || count(db, waiting).await == 1).await;
            }
            Self::Silence => {
                until("the call is made", async || site.sandbox.handle().faults().is_empty()).await;
            }
            Self::Pipe { .. } | Self::Trigger => {}
        }
        hold
    }

    async fn pipe(site: &Site) -> Self {
        let file = settlement_file(&site.files());
        let moved = file.with_extension("moved");
        std::fs::rename(&file, &moved).unwrap();
        assert!(Command::new("mkfifo").arg(&file).status().await.unwrap().success());
        Self::Pipe { file, moved }
    }

    /// Lets the next owner of the task go on.
    pub(crate) async fn release(self, site: &Site) {
        match self {
            Self::Silence => site.sandbox.handle().clear_faults(),
            Self::Pipe { file, moved } => std::fs::rename(moved, file).unwrap(),
            Self::Lock { transaction, .. } => transaction.rollback().await.unwrap(),
            Self::Trigger => change(site, "DROP TRIGGER hold").await,
        }
    }
}

/// Changes the SQLite file from outside, while its owner has nothing to write.
async fn change(site: &Site, sql: &str) {
    let DatabaseTarget::Sqlite { path } = site.target() else { panic!("only SQLite is a file") };
    let connection = Database::connect(format!("sqlite://{}?mode=rw", path.display())).await.unwrap();
    connection.execute_unprepared(sql).await.unwrap();
    connection.close().await.unwrap();
}

fn settlement_file(files: &Path) -> PathBuf {
    let day = files.join("stripe").join(crate::harness::DATE);
    let mut found = std::fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path()).filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("settlement-"))
    });
    found.next().expect("the settlement file is there")
}
