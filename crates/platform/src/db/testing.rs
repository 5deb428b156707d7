//! Fresh databases for tests: every test gets its own, on both kinds, and leaves nothing behind.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use payops_core::random::{Random, SystemRandom};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::{DatabaseTarget, Db, Migration, PostgresTarget, SessionLimits, SslMode};

/// The environment variable that names the server: a URL of a role that may create databases.
pub const POSTGRES_URL: &str = "PAYOPS_TEST_POSTGRES_URL";

/// A fresh, migrated database that is removed when it is dropped.
#[derive(Debug)]
pub struct TestDb {
    db: Db,
    place: TestPlace,
}

impl Deref for TestDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl TestDb {
    /// Where the database is, for a test that opens it once more.
    pub fn target(&self) -> &DatabaseTarget {
        &self.place.target
    }

    /// The database itself; it is removed when `self` is dropped, clones or not.
    pub fn db(&self) -> Db {
        self.db.clone()
    }
}

/// A fresh, empty place for a database, removed when it is dropped.
#[derive(Debug)]
pub struct TestPlace {
    /// Where it is.
    pub target: DatabaseTarget,
    folder: Option<PathBuf>,
}

/// A fresh SQLite file in a temporary folder.
pub async fn sqlite(migrations: &[Migration]) -> TestDb {
    open(sqlite_place(), migrations).await
}

/// A fresh database on the server that `PAYOPS_TEST_POSTGRES_URL` names.
pub async fn postgres(migrations: &[Migration]) -> TestDb {
    open(postgres_place().await, migrations).await
}

#[expect(clippy::expect_used, reason = "a test that has no database cannot go on")]
async fn open(place: TestPlace, migrations: &[Migration]) -> TestDb {
    let db = Db::open(&place.target, migrations).await.expect("a fresh database opens");
    TestDb { db, place }
}

/// A place for a SQLite file, without the file.
#[expect(clippy::expect_used, reason = "a test that has no database cannot go on")]
pub fn sqlite_place() -> TestPlace {
    let folder = std::env::temp_dir().join(fresh_name());
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    TestPlace { target: DatabaseTarget::Sqlite { path: folder.join("test.db") }, folder: Some(folder) }
}

/// An empty database on the server, not migrated.
#[expect(clippy::expect_used, reason = "a test that has no database cannot go on")]
pub async fn postgres_place() -> TestPlace {
    let admin = admin_options();
    let database = fresh_name();
    let mut connection = admin.connect().await.expect("the PostgreSQL server for tests answers");
    connection
        .execute(AssertSqlSafe(format!("CREATE DATABASE {database}")))
        .await
        .expect("the role of the test server may create databases");
    connection.close().await.expect("the connection closes");
    let target = PostgresTarget {
        host: admin
            .get_socket()
            .map_or_else(|| admin.get_host().to_owned(), |socket| socket.display().to_string()),
        port: admin.get_port(),
        user: admin.get_username().to_owned(),
        password: url_password(),
        database,
        ssl_mode: SslMode::Disable,
        ssl_root_cert: None,
        max_connections: 10,
        acquire_timeout: Duration::from_secs(30),
        session: SessionLimits::default(),
    };
    TestPlace { target: DatabaseTarget::Postgres(target), folder: None }
}

impl Drop for TestPlace {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            remove_folder(folder);
        }
        if let DatabaseTarget::Postgres(target) = &self.target {
            drop_database(target.database.clone());
        }
    }
}

fn remove_folder(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::debug!(%error, folder = %folder.display(), "removing a test's folder");
    }
}

/// Drops a database from a thread with a runtime of its own, since `drop` cannot wait in the test's.
fn drop_database(database: String) {
    let dropping = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let Ok(mut connection) = admin_options().connect().await else { return };
            let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
            let dropped = connection.execute(AssertSqlSafe(statement)).await;
            if let Err(error) = dropped {
                tracing::debug!(%error, database, "dropping a test's database");
            }
        });
    });
    // A failure to clean up is no failure of the test.
    let _ended = dropping.join();
}

#[expect(clippy::expect_used, reason = "a missing server is a failure, never a skipped test")]
fn admin_options() -> PgConnectOptions {
    let url = std::env::var(POSTGRES_URL)
        .expect("PAYOPS_TEST_POSTGRES_URL is not set: run `cargo xtask test`, which starts PostgreSQL");
    url.parse().expect("PAYOPS_TEST_POSTGRES_URL is a PostgreSQL URL")
}

/// The driver keeps the password to itself, so it is read from the URL once more.
fn url_password() -> Option<secrecy::SecretString> {
    let url = std::env::var(POSTGRES_URL).ok()?;
    let credentials = url.split_once("://")?.1.split_once('@')?.0;
    credentials.split_once(':').map(|(_, password)| password.to_owned().into())
}

fn fresh_name() -> String {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    format!("payops_test_{}", hex::encode(bytes))
}

/// Runs each test on both databases: `both_databases!(MIGRATIONS; test_a, test_b);` makes `sqlite::test_a`,
/// `postgres::test_a` and so on out of `async fn test_a(db: TestDb)`. Once a module.
#[macro_export]
macro_rules! both_databases {
    ($migrations:expr; $($test:ident),+ $(,)?) => {
        fn both_databases_migrations() -> &'static [$crate::db::Migration] {
            $migrations
        }

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let db = $crate::db::testing::sqlite(super::both_databases_migrations()).await;
                    super::$test(db).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let db = $crate::db::testing::postgres(super::both_databases_migrations()).await;
                    super::$test(db).await;
                }
            )+
        }
    };
}
