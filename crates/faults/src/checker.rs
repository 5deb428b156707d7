//! Holds what the callers were told against the database.
//!
//! Lost: an acknowledged answer that the database does not tell the same way. Double: a payment or a release that had its
//! effect twice. Over: a payment that was passed beyond a limit. Drift: counters, log and payments that do not tell the
//! same story. [`rules`] are functions of rows; this reads the rows.

pub mod rules;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, FromQueryResult, IsolationLevel, Statement,
    TransactionTrait,
};
use uuid::Uuid;

use crate::history::Entry;
use rules::{Books, Counters, LogRow, PaymentRow, ReleaseRow};

/// How many findings are told in words.
const MOST_EXAMPLES: usize = 10;

/// A merchant of the set, and what was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merchant {
    /// Its id.
    pub id: Uuid,
    /// Minor units.
    pub daily_limit: i64,
    /// Minor units.
    pub monthly_limit: i64,
}

/// How often what should never happen did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Acknowledged answers that are gone, or told otherwise.
    pub lost: u64,
    /// Effects that came twice.
    pub double: u64,
    /// Payments passed beyond a limit.
    pub over: u64,
    /// Places where counters, log and payments differ.
    pub drift: u64,
    /// The first of them in words.
    pub examples: Vec<String>,
}

/// Which of the four it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// See [`Findings::lost`].
    Lost,
    /// See [`Findings::double`].
    Double,
    /// See [`Findings::over`].
    Over,
    /// See [`Findings::drift`].
    Drift,
}

impl Findings {
    /// Whether there are none.
    pub fn is_clean(&self) -> bool {
        self.lost + self.double + self.over + self.drift == 0
    }

    pub(crate) fn add(&mut self, wrong: Wrong, what: impl FnOnce() -> String) {
        let count = match wrong {
            Wrong::Lost => &mut self.lost,
            Wrong::Double => &mut self.double,
            Wrong::Over => &mut self.over,
            Wrong::Drift => &mut self.drift,
        };
        *count += 1;
        if self.examples.len() < MOST_EXAMPLES {
            self.examples.push(format!("{wrong:?}: {}", what()));
        }
    }

    /// What the service's own audit found counts as drift.
    pub(crate) fn add_audit(&mut self, findings: Vec<String>) {
        for finding in findings {
            self.add(Wrong::Drift, || finding);
        }
    }
}

/// Checks every merchant, each on one picture of the database.
///
/// # Errors
/// The database's.
pub async fn check(db: &DatabaseConnection, merchants: &[Merchant], history: &[Entry]) -> Result<Findings> {
    let mut told: BTreeMap<u32, Vec<Entry>> = BTreeMap::new();
    for entry in history {
        told.entry(entry.merchant).or_default().push(*entry);
    }
    let mut findings = Findings::default();
    for (place, merchant) in merchants.iter().enumerate() {
        let place = u32::try_from(place)?;
        let picture = db.begin_with_config(isolation(db), None).await?;
        let books = read(&picture, merchant.id).await?;
        picture.rollback().await?;
        let entries = told.get(&place).map(Vec::as_slice).unwrap_or_default();
        rules::check(merchant, &books, entries, &mut findings);
    }
    Ok(findings)
}

/// A transaction on SQLite is one picture anyway.
fn isolation(db: &DatabaseConnection) -> Option<IsolationLevel> {
    (db.get_database_backend() == sea_orm::DbBackend::Postgres).then_some(IsolationLevel::RepeatableRead)
}

async fn read(db: &DatabaseTransaction, merchant: Uuid) -> Result<Books> {
    let counters: Vec<Counters> = rows(
        db,
        "SELECT seq, daily_used, monthly_used, pending_amount FROM merchant_limits WHERE merchant_id = $1",
        merchant,
    )
    .await?;
    let payments: Vec<PaymentRow> = rows(
        db,
        "SELECT payment_no, state, amount, counted_amount, booked_amount, released_amount, end_answer \
         FROM limit_payments WHERE merchant_id = $1",
        merchant,
    )
    .await?;
    let releases: Vec<ReleaseRow> = rows(
        db,
        "SELECT payment_no, release_no, amount FROM limit_releases WHERE merchant_id = $1",
        merchant,
    )
    .await?;
    let log: Vec<LogRow> = rows(
        db,
        "SELECT seq, action_type, payment_no, release_no, counted_amount, success, daily_used_before, \
         daily_used_after, monthly_used_before, monthly_used_after, pending_before, pending_after \
         FROM limit_usage_logs WHERE merchant_id = $1 ORDER BY seq",
        merchant,
    )
    .await?;
    let counters =
        counters.into_iter().next().with_context(|| format!("merchant {merchant} has no limits"))?;
    Ok(Books { counters, payments, releases, log })
}

async fn rows<R: FromQueryResult>(db: &DatabaseTransaction, sql: &str, merchant: Uuid) -> Result<Vec<R>> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [merchant.into()]);
    Ok(R::find_by_statement(statement).all(db).await?)
}
