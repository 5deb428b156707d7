//! One connection, its prepared statements, and one transaction at a time.

use futures::future::try_join_all;
use payops_platform::db::Db;
use payops_platform::error::{Error, Result};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::{read, write};
use crate::alerts::Bell;
use crate::batch;
use crate::decide::{Operation, Outcome};
use crate::store::hot::Lookup;

/// Every statement finds its rows by their keys. Plans are made once, for tables that may be empty then and large soon
/// after, so they are told not to read whole tables.
const SETTINGS: &str = "SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off; \
     SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET enable_bitmapscan TO off; SET jit TO off";
/// Whether tables are spread over several servers by Citus.
const SPREAD: &str = "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')";

/// Parameters of a statement.
pub(super) type Parameters<'p> = [&'p (dyn ToSql + Sync)];

/// How the merchants of a batch are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locking {
    /// All by one statement, in the order of their ids.
    Together,
    /// One statement each, in the order of their ids: Citus refuses to lock rows of several servers by one.
    OneByOne,
}

/// A connection that decides.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) locking: Locking,
    pub(super) read: read::Statements,
    pub(super) write: write::Statements,
}

impl Session {
    pub(super) async fn connect(db: &Db) -> Result<Self> {
        let client = db.connect_native().await?;
        client.batch_execute(SETTINGS).await?;
        let spread: bool = client.query_one(SPREAD, &[]).await?.try_get(0)?;
        let locking = if spread { Locking::OneByOne } else { Locking::Together };
        Self::prepare(client, locking).await
    }

    pub(super) async fn prepare(client: Client, locking: Locking) -> Result<Self> {
        let read = read::Statements::prepare(&client).await?;
        let write = write::Statements::prepare(&client).await?;
        Ok(Self { client, locking, read, write })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Decides a batch and commits it.
    pub(super) async fn decide(
        &self,
        operations: &[Operation],
        lookup: &Lookup,
        bell: &Bell,
    ) -> Result<Vec<Outcome>> {
        let (mut loaded, now) = self.load(operations, lookup).await?;
        let (outcomes, effects) = batch::decide(&mut loaded, operations.iter(), now);
        if effects.is_empty() {
            self.client.batch_execute("ROLLBACK").await?;
        } else {
            self.save(&effects).await?;
            if !effects.alerts.is_empty() {
                bell.ring();
            }
        }
        Ok(outcomes)
    }

    pub(super) async fn rows(&self, statement: &Statement, parameters: &Parameters<'_>) -> Result<Vec<Row>> {
        Ok(self.client.query(statement, parameters).await?)
    }

    /// Runs a statement about `count` rows; none is not asked for.
    pub(super) async fn write(
        &self,
        statement: &Statement,
        parameters: &Parameters<'_>,
        count: usize,
    ) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        match self.client.execute(statement, parameters).await {
            Ok(_) => Ok(()),
            // As the statements that change rows have it.
            Err(error) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
                Err(Error::internal(format!("not all {count} rows that a decision changes are there")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Prepares statements in one round trip, in their order.
pub(super) async fn prepare<const N: usize>(client: &Client, texts: [&str; N]) -> Result<[Statement; N]> {
    let statements = try_join_all(texts.map(|text| client.prepare(text))).await?;
    <[Statement; N]>::try_from(statements).map_err(|_| Error::internal("a statement was not prepared"))
}
