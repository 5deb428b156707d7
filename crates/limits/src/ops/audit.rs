//! The proof that nothing was lost, doubled or changed: counters, log and payments must tell the same story, and the log
//! must be the one that was sealed.

mod seals;

use futures::FutureExt;
use payops_platform::db::{Backend, Db};
use payops_platform::error::{Error, Result};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult};
use serde::Serialize;
use uuid::Uuid;

pub use self::seals::Checkpoint;
use crate::Limits;
use crate::seal::AuditKeys;

/// How many merchants are listed at once.
const MERCHANTS_AT_ONCE: u64 = 1000;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// How many merchants were looked at.
    pub merchants: u64,
    /// How many rows of the usage log.
    pub log_rows: u64,
    /// How many of these are sealed.
    pub sealed_rows: u64,
    /// The newest checkpoint, when all merchants were looked at: to be kept elsewhere.
    pub checkpoint: Option<Checkpoint>,
    /// Where the stories differ; empty when all is well.
    pub findings: Vec<Finding>,
}

/// One place where the stories differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The merchant; `None` for what is about all of them.
    pub merchant_id: Option<Uuid>,
    /// The first row of the merchant's log that is wrong, where it is known.
    pub seq: Option<i64>,
    /// What differs, and by how much.
    pub what: String,
}

/// Audits one merchant, or all of them. Each is looked at on one picture of the database, so decisions may go on. Signatures
/// are believed that one of `keys` made.
///
/// Only an audit of all merchants looks at checkpoints: those of the database, and those that were `kept` elsewhere.
///
/// # Errors
/// 404 for a merchant without limits, and the database's.
pub async fn audit(
    db: &Db,
    keys: &AuditKeys,
    only: Option<Uuid>,
    kept: &[Checkpoint],
) -> Result<AuditReport> {
    let mut report = AuditReport::default();
    if let Some(merchant_id) = only {
        add(db, keys, merchant_id, &mut report).await?;
        return Ok(report);
    }
    let mut after = Uuid::nil();
    loop {
        let sql =
            "SELECT merchant_id FROM merchant_limits WHERE merchant_id > $1 ORDER BY merchant_id LIMIT $2";
        let statement = db.backend().statement(sql, [after.into(), MERCHANTS_AT_ONCE.into()]);
        let rows = db.read().query_all_raw(statement).await?;
        let merchants = rows.iter().map(|row| Ok(row.try_get("", "merchant_id")?));
        let merchants: Vec<Uuid> = merchants.collect::<Result<_>>()?;
        let Some(last) = merchants.last() else { break };
        after = *last;
        for merchant_id in merchants {
            add(db, keys, merchant_id, &mut report).await?;
        }
    }
    report.checkpoint = seals::checkpoints(db, keys, kept, &mut report.findings).await?;
    Ok(report)
}

/// Audits all merchants and shows the number of those with findings as a metric.
pub(crate) async fn audit_and_measure(app: &Limits) -> Result<()> {
    let report = audit(&app.context.db, &app.keys, None, &[]).await?;
    app.metrics.audited(&report);
    for finding in &report.findings {
        let merchant_id = finding.merchant_id.map(tracing::field::display);
        tracing::error!(
            merchant_id,
            seq = finding.seq,
            what = finding.what,
            "the audit of limits found a difference"
        );
    }
    Ok(())
}

async fn add(db: &Db, keys: &AuditKeys, merchant_id: Uuid, report: &mut AuditReport) -> Result<()> {
    let backend = db.backend();
    let (rows, findings) = db
        .snapshot(move |picture| async move { Story { picture, backend, merchant_id }.audit().await }.boxed())
        .await?;
    report.merchants += 1;
    report.log_rows += rows;
    let findings = findings.into_iter();
    report.findings.extend(findings.map(|what| Finding { merchant_id: Some(merchant_id), seq: None, what }));
    let (sealed, unsound) = seals::chain(db, keys, merchant_id).await?;
    report.sealed_rows += u64::try_from(sealed).unwrap_or_default();
    report.findings.extend(unsound);
    Ok(())
}

#[derive(Debug, FromQueryResult)]
struct Counters {
    daily_used: i64,
    monthly_used: i64,
    pending_amount: i64,
    seq: i64,
    held: i64,
}

#[derive(Debug, FromQueryResult)]
struct Log {
    count: i64,
    breaks: i64,
    first_break: Option<i64>,
}

#[derive(Debug, FromQueryResult)]
struct Last {
    daily: i64,
    monthly: i64,
    pending: i64,
}

#[derive(Debug, FromQueryResult)]
struct Payments {
    differing: i64,
    example: Option<String>,
}

struct Story<'p> {
    picture: &'p DatabaseTransaction,
    backend: Backend,
    merchant_id: Uuid,
}

impl Story<'_> {
    async fn audit(&self) -> Result<(u64, Vec<String>)> {
        const COUNTERS: &str = "SELECT m.daily_used, m.monthly_used, m.pending_amount, m.seq, \
             (SELECT CAST(COALESCE(SUM(p.counted_amount), 0) AS BIGINT) FROM limit_payments p \
              WHERE p.merchant_id = m.merchant_id AND p.state = 'reserved') AS held \
             FROM merchant_limits m WHERE m.merchant_id = $1";
        let counters: Option<Counters> = self.one(COUNTERS).await?;
        let counters = counters.ok_or_else(crate::error::merchant_not_found)?;
        let mut findings = Vec::new();
        if counters.held != counters.pending_amount {
            findings.push(format!(
                "pending_amount is {}, open reservations hold {}",
                counters.pending_amount, counters.held
            ));
        }
        let rows = self.log(&counters, &mut findings).await?;
        self.payments(&mut findings).await?;
        Ok((u64::try_from(rows).unwrap_or_default(), findings))
    }

    /// Rows are numbered without gaps, each begins where the one before it ended, and the last equals the counters.
    async fn log(&self, counters: &Counters, findings: &mut Vec<String>) -> Result<i64> {
        const LOG: &str = "SELECT COUNT(*) AS count, \
             CAST(COALESCE(SUM(broken), 0) AS BIGINT) AS breaks, MIN(CASE WHEN broken = 1 THEN seq END) AS first_break \
             FROM (SELECT seq, CASE WHEN seq = LAG(seq, 1, CAST(0 AS BIGINT)) OVER w + 1 \
              AND daily_used_before = LAG(daily_used_after, 1, CAST(0 AS BIGINT)) OVER w \
              AND monthly_used_before = LAG(monthly_used_after, 1, CAST(0 AS BIGINT)) OVER w \
              AND pending_before = LAG(pending_after, 1, CAST(0 AS BIGINT)) OVER w \
              THEN 0 ELSE 1 END AS broken FROM limit_usage_logs WHERE merchant_id = $1 \
              WINDOW w AS (ORDER BY seq)) AS rows";
        const LAST: &str = "SELECT daily_used_after AS daily, monthly_used_after AS monthly, pending_after AS pending \
             FROM limit_usage_logs WHERE merchant_id = $1 ORDER BY seq DESC LIMIT 1";
        let log: Option<Log> = self.one(LOG).await?;
        let log = log.ok_or_else(|| Error::internal("a count gave no row"))?;
        if log.breaks > 0 {
            let first = log.first_break.unwrap_or_default();
            findings.push(format!(
                "{} log rows do not follow the one before them, row {first} first",
                log.breaks
            ));
        }
        if log.count != counters.seq {
            findings.push(format!("the log has {} rows, the counters have seen {}", log.count, counters.seq));
        }
        let last: Option<Last> = self.one(LAST).await?;
        let last = last.map_or((0, 0, 0), |l| (l.daily, l.monthly, l.pending));
        let now = (counters.daily_used, counters.monthly_used, counters.pending_amount);
        if last != now {
            findings
                .push(format!("the log ends at {last:?} (day, month, pending), the counters are {now:?}"));
        }
        Ok(log.count)
    }

    /// Every payment is as it was decided, was counted by exactly one row where it is booked and by none where it is not, and
    /// releases add up.
    async fn payments(&self, findings: &mut Vec<String>) -> Result<()> {
        const COUNTED: &str = "SELECT COUNT(*) AS differing, MIN(payment_no) AS example FROM (\
             SELECT COALESCE(p.payment_no, l.payment_no) AS payment_no FROM \
             (SELECT payment_no, booked_amount, booked_counted_amount, released_amount, returned_amount, \
               CASE WHEN booked_amount > 0 THEN 1 ELSE 0 END AS times FROM limit_payments WHERE merchant_id = $1) p \
             FULL JOIN (SELECT payment_no, \
               CAST(SUM(CASE WHEN action_type <> 'release' THEN 1 ELSE 0 END) AS BIGINT) AS times, \
               CAST(SUM(CASE WHEN action_type <> 'release' THEN amount ELSE 0 END) AS BIGINT) AS booked, \
               CAST(SUM(CASE WHEN action_type = 'release' THEN amount ELSE 0 END) AS BIGINT) AS released, \
               CAST(SUM(CASE WHEN action_type <> 'release' THEN counted_amount ELSE 0 END) AS BIGINT) AS counted, \
               CAST(SUM(CASE WHEN action_type = 'release' THEN counted_amount ELSE 0 END) AS BIGINT) AS returned \
               FROM limit_usage_logs WHERE merchant_id = $1 AND success \
               AND action_type IN ('consume', 'confirm', 'release') GROUP BY payment_no) l \
             ON l.payment_no = p.payment_no \
             WHERE p.payment_no IS NULL OR COALESCE(l.times, 0) <> p.times \
               OR COALESCE(l.booked, 0) <> p.booked_amount OR COALESCE(l.released, 0) <> p.released_amount \
               OR COALESCE(l.counted, 0) <> p.booked_counted_amount \
               OR COALESCE(l.returned, 0) <> p.returned_amount) AS differing_payments";
        const DECIDED: &str = "SELECT COUNT(*) AS differing, MIN(p.payment_no) AS example FROM limit_payments p \
             LEFT JOIN (SELECT payment_no, amount, currency, counted_amount, success FROM limit_usage_logs \
               WHERE merchant_id = $1 AND action_type IN ('consume', 'reserve')) l ON l.payment_no = p.payment_no \
             WHERE p.merchant_id = $1 AND (l.payment_no IS NULL OR l.amount <> p.amount OR l.currency <> p.currency \
               OR l.counted_amount <> p.counted_amount OR l.success = (p.state = 'declined'))";
        const RELEASED: &str = "SELECT COUNT(*) AS differing, MIN(r.payment_no) AS example FROM limit_releases r \
             LEFT JOIN (SELECT payment_no, release_no, amount, counted_amount FROM limit_usage_logs \
               WHERE merchant_id = $1 AND action_type = 'release') l \
             ON l.payment_no = r.payment_no AND l.release_no = r.release_no \
             WHERE r.merchant_id = $1 AND (l.payment_no IS NULL OR l.amount <> r.amount \
               OR l.counted_amount <> r.returned_amount)";
        for (sql, what) in [
            (COUNTED, "payments differ from what the log counted"),
            (DECIDED, "payments differ from what was decided"),
            (RELEASED, "releases differ from what the log gave back"),
        ] {
            let found: Option<Payments> = self.one(sql).await?;
            if let Some(Payments { differing: differing @ 1.., example }) = found {
                findings.push(format!("{differing} {what}, {} among them", example.unwrap_or_default()));
            }
        }
        Ok(())
    }

    async fn one<R: FromQueryResult>(&self, sql: &str) -> Result<Option<R>> {
        let statement = self.backend.statement(sql, [self.merchant_id.into()]);
        Ok(R::find_by_statement(statement).one(self.picture).await?)
    }
}
