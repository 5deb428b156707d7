//! Bringing a database to the schema that this binary knows.

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, PgPool, SqliteConnection, SqlitePool};

use super::{DbOpenError, PLATFORM_MIGRATIONS};

/// Any number, as long as every payops takes the same: "payops" in ASCII.
pub(super) const ADVISORY_LOCK: i64 = 0x7061_796f_7073;

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    -- The migration's name; they were applied in the order of applied_at.
    name TEXT NOT NULL PRIMARY KEY,
    -- SHA-256 of its text, in hexadecimal.
    checksum TEXT NOT NULL,
    -- When, by the database's clock.
    applied_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
)";
const SELECT_APPLIED: &str = "SELECT name, checksum FROM schema_migrations";
const INSERT_APPLIED: &str = "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)";

/// One step of a schema. Once released it never changes; what follows is a new one.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its name, unique in the database, such as `0001_reconciliation`.
    pub name: &'static str,
    /// The statements for SQLite.
    pub sqlite: &'static str,
    /// The statements for PostgreSQL.
    pub postgres: &'static str,
}

impl Migration {
    /// A migration whose one text both databases accept.
    pub const fn portable(name: &'static str, sql: &'static str) -> Self {
        Self { name, sqlite: sql, postgres: sql }
    }
}

/// All migrations that this binary knows, in the order in which they are applied.
#[derive(Debug)]
pub(super) struct Plan(Vec<Migration>);

/// The platform's migrations, then the service's.
pub(super) fn plan(service: &[Migration]) -> Result<Plan, DbOpenError> {
    let all: Vec<Migration> = PLATFORM_MIGRATIONS.iter().chain(service).copied().collect();
    for (index, migration) in all.iter().enumerate() {
        if all.iter().take(index).any(|earlier| earlier.name == migration.name) {
            return Err(DbOpenError::Duplicate { name: migration.name });
        }
    }
    Ok(Plan(all))
}

/// A migration with the text and the checksum for one of the databases.
struct Step {
    name: &'static str,
    sql: &'static str,
    checksum: String,
}

fn steps(plan: &Plan, text: impl Fn(&Migration) -> &'static str) -> Vec<Step> {
    let step = |migration: &Migration| {
        let sql = text(migration);
        Step { name: migration.name, sql, checksum: hex::encode(Sha256::digest(sql)) }
    };
    plan.0.iter().map(step).collect()
}

/// What is missing in a database that has `applied` (name, checksum).
fn missing(steps: Vec<Step>, applied: &[(String, String)]) -> Result<Vec<Step>, DbOpenError> {
    for (name, checksum) in applied {
        match steps.iter().find(|step| step.name == name) {
            None => return Err(DbOpenError::Newer { name: name.clone() }),
            Some(step) if step.checksum != *checksum => {
                return Err(DbOpenError::Changed {
                    name: name.clone(),
                    applied: short(checksum),
                    known: short(&step.checksum),
                });
            }
            Some(_) => {}
        }
    }
    Ok(steps.into_iter().filter(|step| applied.iter().all(|(name, _)| name != step.name)).collect())
}

fn short(checksum: &str) -> String {
    checksum.chars().take(12).collect()
}

fn failed(name: &str) -> impl Fn(sqlx::Error) -> DbOpenError {
    move |source| DbOpenError::Migrate { name: name.to_owned(), source }
}

/// Applies what is missing to a SQLite file. The caller holds the claim on it.
pub(super) async fn sqlite(pool: &SqlitePool, plan: &Plan) -> Result<(), DbOpenError> {
    let mut connection = pool.acquire().await.map_err(failed("schema_migrations"))?;
    let connection: &mut SqliteConnection = &mut connection;
    sqlx::raw_sql(CREATE_TABLE).execute(&mut *connection).await.map_err(failed("schema_migrations"))?;
    let applied: Vec<(String, String)> = sqlx::query_as(SELECT_APPLIED)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("schema_migrations"))?;
    for step in missing(steps(plan, |migration| migration.sqlite), &applied)? {
        apply_sqlite(connection, &step).await.map_err(failed(step.name))?;
        tracing::info!(migration = step.name, "applied a migration");
    }
    Ok(())
}

async fn apply_sqlite(connection: &mut SqliteConnection, step: &Step) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(step.sql).execute(&mut *transaction).await?;
    sqlx::query(INSERT_APPLIED).bind(step.name).bind(&step.checksum).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Applies what is missing to a PostgreSQL database, while every other process that wants to do so waits.
pub(super) async fn postgres(pool: &PgPool, plan: &Plan) -> Result<(), DbOpenError> {
    let pooled = pool.acquire().await.map_err(failed("schema_migrations"))?;
    // Outside the pool: if anything fails, the connection is closed, and the lock goes with it.
    let mut connection = pooled.detach();
    lock_postgres(&mut connection).await.map_err(failed("schema_migrations"))?;
    let applied = prepare_postgres(&mut connection).await.map_err(failed("schema_migrations"))?;
    for step in missing(steps(plan, |migration| migration.postgres), &applied)? {
        apply_postgres(&mut connection, &step).await.map_err(failed(step.name))?;
        tracing::info!(migration = step.name, "applied a migration");
    }
    connection.close().await.map_err(failed("schema_migrations"))
}

async fn lock_postgres(connection: &mut PgConnection) -> sqlx::Result<()> {
    // Whoever migrates at the moment may take long.
    sqlx::query("SET lock_timeout TO 0").execute(&mut *connection).await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(ADVISORY_LOCK).execute(connection).await?;
    Ok(())
}

async fn prepare_postgres(connection: &mut PgConnection) -> sqlx::Result<Vec<(String, String)>> {
    sqlx::raw_sql(CREATE_TABLE).execute(&mut *connection).await?;
    sqlx::query_as(SELECT_APPLIED).fetch_all(connection).await
}

async fn apply_postgres(connection: &mut PgConnection, step: &Step) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(step.sql).execute(&mut *transaction).await?;
    sqlx::query(INSERT_APPLIED).bind(step.name).bind(&step.checksum).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Refuses a SQLite file whose schema is not exactly this binary's.
pub(super) async fn check_sqlite(pool: &SqlitePool, plan: &Plan) -> Result<(), DbOpenError> {
    let has_table = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'";
    let tables: i64 =
        sqlx::query_scalar(has_table).fetch_one(pool).await.map_err(failed("schema_migrations"))?;
    let applied = if tables == 0 {
        Vec::new()
    } else {
        sqlx::query_as(SELECT_APPLIED).fetch_all(pool).await.map_err(failed("schema_migrations"))?
    };
    none_missing(&missing(steps(plan, |migration| migration.sqlite), &applied)?)
}

/// Refuses a PostgreSQL database whose schema is not exactly this binary's.
pub(super) async fn check_postgres(pool: &PgPool, plan: &Plan) -> Result<(), DbOpenError> {
    let has_table = "SELECT to_regclass('schema_migrations') IS NOT NULL";
    let exists: bool =
        sqlx::query_scalar(has_table).fetch_one(pool).await.map_err(failed("schema_migrations"))?;
    let applied = if exists {
        sqlx::query_as(SELECT_APPLIED).fetch_all(pool).await.map_err(failed("schema_migrations"))?
    } else {
        Vec::new()
    };
    none_missing(&missing(steps(plan, |migration| migration.postgres), &applied)?)
}

fn none_missing(missing: &[Step]) -> Result<(), DbOpenError> {
    missing.first().map_or(Ok(()), |step| Err(DbOpenError::Older { name: step.name }))
}
