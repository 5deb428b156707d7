//! Reads what is known of merchants: for edits, which lock them, and for answers that decide nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use payops_core::currency::Currency;
use payops_core::time::{Clock, Timestamp, Zone};
use payops_platform::db::{Backend, Tx};
use payops_platform::error::{Error, Result};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use crate::batch::Loaded;
use crate::decide::{Account, Operation};
use crate::model::{LimitKind, Limits, Override, Payment, PaymentState, Release, Rule, Terms, Usage};
use crate::rate::AppliedRate;
use crate::store::rows::{Kind, id, pack, time, unpack};
use crate::window::Span;

/// Where the time of a decision comes from.
#[derive(Debug, Clone)]
pub(crate) enum Lookup {
    /// The database's own clock, which all instances share.
    Database,
    /// This clock: the process's on SQLite, where one process serves, and a test's.
    Clock(Arc<dyn Clock>),
}

/// Where rows are read: in a transaction that locks the merchants' rows, or on a picture that nobody changes.
pub(crate) struct Source<'c, C> {
    conn: &'c C,
    backend: Backend,
    lock: bool,
}

impl<'c> Source<'c, Tx> {
    /// Reads and locks.
    fn locking(tx: &'c Tx) -> Self {
        Self { conn: tx, backend: tx.backend(), lock: true }
    }
}

impl<'c, C: ConnectionTrait> Source<'c, C> {
    /// Reads without a lock.
    pub(crate) fn reading(conn: &'c C, backend: Backend) -> Self {
        Self { conn, backend, lock: false }
    }

    /// The rows that a statement with these parameters gives.
    pub(super) async fn rows<R: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<R>> {
        Ok(R::find_by_statement(self.backend.statement(sql, values)).all(self.conn).await?)
    }

    async fn select<R: FromQueryResult>(&self, sql: &str, rows: Value) -> Result<Vec<R>> {
        self.rows(sql, [rows]).await
    }
}

/// Locks merchants' rows in the order of their ids, for an edit, then reads the clock, then what the present does to them.
pub(crate) async fn load(tx: &Tx, merchants: &[Uuid], lookup: &Lookup) -> Result<(Loaded, Timestamp)> {
    let source = Source::locking(tx);
    let mut loaded = Loaded::default();
    let merchants: BTreeSet<Uuid> = merchants.iter().copied().collect();
    let mut overridden = accounts(&source, &merchants, &mut loaded).await?;
    let missing: BTreeSet<Uuid> =
        merchants.into_iter().filter(|merchant| !loaded.accounts.contains_key(merchant)).collect();
    if !missing.is_empty() {
        // A merchant that was given another tier while this waited for its row has dropped out of the join on
        // PostgreSQL: a second look finds it. One without limits is still not there.
        overridden.extend(accounts(&source, &missing, &mut loaded).await?);
    }
    let now = now(&source, lookup).await?;
    particulars(&source, &overridden, now, &mut loaded).await?;
    Ok((loaded, now))
}

/// The overrides of the merchants that have some, and the reservations that are over.
pub(super) async fn particulars(
    source: &Source<'_, impl ConnectionTrait>,
    overridden: &[Uuid],
    now: Timestamp,
    loaded: &mut Loaded,
) -> Result<()> {
    if !overridden.is_empty() {
        overrides(source, overridden, now, loaded).await?;
    }
    let due: Vec<Uuid> = loaded
        .accounts
        .values()
        .filter(|account| account.usage.next_expiry.is_some_and(|end| end <= now))
        .map(|account| account.merchant_id)
        .collect();
    if !due.is_empty() {
        due_reservations(source, &due, now, loaded).await?;
    }
    Ok(())
}

/// The present.
pub(crate) async fn now(source: &Source<'_, impl ConnectionTrait>, lookup: &Lookup) -> Result<Timestamp> {
    #[derive(Debug, FromQueryResult)]
    struct Now {
        now: Timestamp,
    }

    match lookup {
        Lookup::Clock(clock) => Ok(clock.now()),
        Lookup::Database => {
            let rows: Vec<Now> = source.rows("SELECT clock_timestamp() AS now", []).await?;
            let row = rows.first().ok_or_else(|| Error::internal("the database tells no time"))?;
            Ok(row.now)
        }
    }
}

#[derive(Debug, FromQueryResult)]
pub(crate) struct AccountRow {
    pub(crate) merchant_id: Uuid,
    pub(crate) timezone: String,
    pub(crate) daily_used: i64,
    pub(crate) monthly_used: i64,
    pub(crate) pending_amount: i64,
    pub(crate) day_start: Timestamp,
    pub(crate) daily_reset_at: Timestamp,
    pub(crate) month_start: Timestamp,
    pub(crate) monthly_reset_at: Timestamp,
    pub(crate) next_expiry_at: Option<Timestamp>,
    pub(crate) custom_daily_limit: Option<i64>,
    pub(crate) custom_monthly_limit: Option<i64>,
    pub(crate) custom_single_trans_limit: Option<i64>,
    pub(crate) has_overrides: bool,
    pub(crate) is_suspended: bool,
    pub(crate) suspended_reason: Option<String>,
    pub(crate) daily_alert: i16,
    pub(crate) monthly_alert: i16,
    pub(crate) seq: i64,
    pub(crate) currency: String,
    pub(crate) daily_limit: Option<i64>,
    pub(crate) monthly_limit: Option<i64>,
    pub(crate) single_trans_limit: Option<i64>,
    pub(crate) allowed_channels: Option<serde_json::Value>,
    pub(crate) allowed_currencies: Option<serde_json::Value>,
    pub(crate) alert_thresholds: serde_json::Value,
}

const ACCOUNT: &str = "m.merchant_id, m.timezone, m.daily_used, m.monthly_used, m.pending_amount, m.day_start, \
     m.daily_reset_at, m.month_start, m.monthly_reset_at, m.next_expiry_at, m.custom_daily_limit, \
     m.custom_monthly_limit, m.custom_single_trans_limit, m.has_overrides, m.is_suspended, m.suspended_reason, \
     m.daily_alert, m.monthly_alert, m.seq, t.currency, t.daily_limit, t.monthly_limit, t.single_trans_limit, \
     t.allowed_channels, t.allowed_currencies, t.alert_thresholds \
     FROM merchant_limits m JOIN merchant_tiers t ON t.id = m.tier_id";

/// Gives the merchants that have overrides.
async fn accounts(
    source: &Source<'_, impl ConnectionTrait>,
    merchants: &BTreeSet<Uuid>,
    loaded: &mut Loaded,
) -> Result<Vec<Uuid>> {
    let lock = if source.lock { source.backend.pick("", " FOR UPDATE OF m") } else { "" };
    let (sql, keys) = of_merchants(source, merchants, "");
    keep(source.select(&format!("{sql}{lock}"), keys).await?, loaded)
}

/// Merchants and the present, by one statement, which is one picture. Gives the merchants that have overrides, and no
/// time when there is no merchant.
pub(super) async fn accounts_and_now(
    source: &Source<'_, impl ConnectionTrait>,
    merchants: &BTreeSet<Uuid>,
    lookup: &Lookup,
    loaded: &mut Loaded,
) -> Result<(Vec<Uuid>, Option<Timestamp>)> {
    #[derive(Debug, FromQueryResult)]
    struct Timed {
        now: Option<Timestamp>,
        #[sea_orm(nested)]
        account: AccountRow,
    }

    let now = match lookup {
        Lookup::Clock(_) => "NULL AS now, ",
        Lookup::Database => "clock_timestamp() AS now, ",
    };
    let (sql, keys) = of_merchants(source, merchants, now);
    let rows: Vec<Timed> = source.select(&sql, keys).await?;
    let told = rows.iter().filter_map(|row| row.now).max();
    let now = match lookup {
        Lookup::Clock(clock) => Some(clock.now()),
        Lookup::Database => told,
    };
    Ok((keep(rows.into_iter().map(|row| row.account).collect(), loaded)?, now))
}

/// The statement that reads merchants in the order of their ids, and its parameter.
fn of_merchants(
    source: &Source<'_, impl ConnectionTrait>,
    merchants: &BTreeSet<Uuid>,
    besides: &str,
) -> (String, Value) {
    let keys = unpack(source.backend, &[Kind::Uuid]);
    // PostgreSQL would join what it unpacks, of which it knows nothing, with the whole of a table that is not large.
    let keys = source.backend.pick(format!("IN ({keys})"), format!("= ANY (ARRAY({keys}))"));
    let sql = format!("SELECT {besides}{ACCOUNT} WHERE m.merchant_id {keys} ORDER BY m.merchant_id");
    (sql, pack(merchants.iter().map(|merchant| json!([id(*merchant)]))))
}

/// Keeps the accounts, and gives the merchants that have overrides.
fn keep(rows: Vec<AccountRow>, loaded: &mut Loaded) -> Result<Vec<Uuid>> {
    let mut overridden = Vec::new();
    for row in rows {
        if row.has_overrides {
            overridden.push(row.merchant_id);
        }
        loaded.accounts.insert(row.merchant_id, row.account()?);
    }
    Ok(overridden)
}

impl AccountRow {
    pub(crate) fn account(self) -> Result<Account> {
        let merchant_id = self.merchant_id;
        let broken = |column, why: String| Error::impossible_row("merchant_limits", column, merchant_id, why);
        Ok(Account {
            merchant_id,
            usage: Usage {
                seq: self.seq,
                day: Span { start: self.day_start, end: self.daily_reset_at },
                month: Span { start: self.month_start, end: self.monthly_reset_at },
                daily_used: self.daily_used,
                monthly_used: self.monthly_used,
                pending: self.pending_amount,
                next_expiry: self.next_expiry_at,
                daily_alert: self.daily_alert,
                monthly_alert: self.monthly_alert,
            },
            terms: Terms {
                currency: self.currency.parse().map_err(|e| broken("currency", format!("{e}")))?,
                zone: Zone::named(&self.timezone).map_err(|e| broken("timezone", e.to_string()))?,
                tier: Limits {
                    daily: self.daily_limit,
                    monthly: self.monthly_limit,
                    single_trans: self.single_trans_limit,
                },
                custom: Limits {
                    daily: self.custom_daily_limit,
                    monthly: self.custom_monthly_limit,
                    single_trans: self.custom_single_trans_limit,
                },
                overrides: Vec::new(),
                suspended: self.is_suspended.then(|| self.suspended_reason.unwrap_or_default()),
                channels: list(self.allowed_channels, "allowed_channels", merchant_id)?,
                currencies: list(self.allowed_currencies, "allowed_currencies", merchant_id)?,
                thresholds: list(Some(self.alert_thresholds), "alert_thresholds", merchant_id)?
                    .unwrap_or_default(),
            },
        })
    }
}

fn list<T: DeserializeOwned>(
    value: Option<serde_json::Value>,
    column: &'static str,
    merchant_id: Uuid,
) -> Result<Option<Vec<T>>> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let list = serde_json::from_value(value);
    list.map(Some)
        .map_err(|error| Error::impossible_row("merchant_tiers", column, merchant_id, error.to_string()))
}

#[derive(Debug, FromQueryResult)]
pub(crate) struct PaymentRow {
    pub(crate) merchant_id: Uuid,
    pub(crate) payment_no: String,
    pub(crate) state: PaymentState,
    pub(crate) declined_by: Option<Rule>,
    pub(crate) ttl_seconds: Option<i64>,
    pub(crate) order_no: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) counted_amount: i64,
    pub(crate) rate_id: Option<Uuid>,
    pub(crate) rate: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) booked_amount: i64,
    pub(crate) booked_counted_amount: i64,
    pub(crate) day_start: Option<Timestamp>,
    pub(crate) month_start: Option<Timestamp>,
    pub(crate) released_amount: i64,
    pub(crate) returned_amount: i64,
    pub(crate) answer: String,
    pub(crate) end_answer: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl PaymentRow {
    pub(crate) fn payment(self) -> Result<Payment> {
        let key = format!("{} {}", self.merchant_id, self.payment_no);
        let broken = |column, why: String| Error::impossible_row("limit_payments", column, &key, why);
        let rate = match (self.rate_id, self.rate) {
            (Some(id), Some(rate)) => {
                Some(AppliedRate { id, rate: rate.parse().map_err(|e| broken("rate", format!("{e}")))? })
            }
            _ => None,
        };
        Ok(Payment {
            currency: self.currency.parse().map_err(|e| broken("currency", format!("{e}")))?,
            merchant_id: self.merchant_id,
            payment_no: self.payment_no,
            state: self.state,
            declined_by: self.declined_by,
            ttl_seconds: self.ttl_seconds,
            order_no: self.order_no,
            channel: self.channel,
            amount: self.amount,
            counted: self.counted_amount,
            rate,
            expires_at: self.expires_at,
            booked: self.booked_amount,
            booked_counted: self.booked_counted_amount,
            day_start: self.day_start,
            month_start: self.month_start,
            released: self.released_amount,
            returned: self.returned_amount,
            answer: self.answer,
            end_answer: self.end_answer,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

#[derive(Debug, FromQueryResult)]
pub(crate) struct ReleaseRow {
    pub(crate) merchant_id: Uuid,
    pub(crate) payment_no: String,
    pub(crate) release_no: String,
    pub(crate) asked_amount: Option<i64>,
    pub(crate) amount: i64,
    pub(crate) returned_amount: i64,
    pub(crate) reason: Option<String>,
    pub(crate) answer: String,
    pub(crate) created_at: Timestamp,
}

impl ReleaseRow {
    pub(crate) fn release(self) -> Release {
        Release {
            merchant_id: self.merchant_id,
            payment_no: self.payment_no,
            release_no: self.release_no,
            asked: self.asked_amount,
            amount: self.amount,
            returned: self.returned_amount,
            reason: self.reason,
            answer: self.answer,
            created_at: self.created_at,
        }
    }
}

#[derive(Debug, FromQueryResult)]
struct OverrideRow {
    merchant_id: Uuid,
    limit_kind: LimitKind,
    value: i64,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

/// Those that are not over: one that is binds nobody any more, and there may be many.
async fn overrides(
    source: &Source<'_, impl ConnectionTrait>,
    merchants: &[Uuid],
    now: Timestamp,
    loaded: &mut Loaded,
) -> Result<()> {
    let keys = unpack(source.backend, &[Kind::Uuid, Kind::Time]);
    let sql = format!(
        "SELECT o.merchant_id, o.limit_kind, o.value, o.starts_at, o.ends_at FROM ({keys}) k \
         JOIN limit_overrides o ON o.merchant_id = k.c0 AND o.ends_at > k.c1 \
         WHERE o.deleted_at IS NULL ORDER BY o.starts_at"
    );
    let keys = pack(merchants.iter().map(|merchant| json!([id(*merchant), time(now)])));
    for row in source.select::<OverrideRow>(&sql, keys).await? {
        if let Some(account) = loaded.accounts.get_mut(&row.merchant_id) {
            let kind = row.limit_kind;
            account.terms.overrides.push(Override {
                kind,
                value: row.value,
                from: row.starts_at,
                to: row.ends_at,
            });
        }
    }
    Ok(())
}

#[derive(Debug, FromQueryResult)]
struct NextExpiry {
    merchant_id: Uuid,
    next: Option<Timestamp>,
}

/// The reservations of these merchants that are over at `now`, and when each merchant's next one will be.
async fn due_reservations(
    source: &Source<'_, impl ConnectionTrait>,
    merchants: &[Uuid],
    now: Timestamp,
    loaded: &mut Loaded,
) -> Result<()> {
    let keys = unpack(source.backend, &[Kind::Uuid, Kind::Time]);
    let rows = || pack(merchants.iter().map(|merchant| json!([id(*merchant), time(now)])));
    let open = format!("({keys}) k JOIN limit_payments p ON p.merchant_id = k.c0 AND p.state = 'reserved'");
    let sql = format!("SELECT p.* FROM {open} AND p.expires_at <= k.c1 ORDER BY p.expires_at, p.payment_no");
    for row in source.select::<PaymentRow>(&sql, rows()).await? {
        let payment = row.payment()?;
        let (merchant, number) = (payment.merchant_id, payment.payment_no.clone());
        loaded.due.entry(merchant).or_default().push(number.clone());
        loaded.payments.insert((merchant, number), payment);
    }
    let sql = format!(
        "SELECT k.c0 AS merchant_id, MIN(p.expires_at) AS next FROM {open} AND p.expires_at > k.c1 GROUP BY k.c0"
    );
    loaded.next_expiry.extend(merchants.iter().map(|merchant| (*merchant, None)));
    for row in source.select::<NextExpiry>(&sql, rows()).await? {
        loaded.next_expiry.insert(row.merchant_id, row.next);
    }
    Ok(())
}

#[derive(Debug, FromQueryResult)]
pub(crate) struct RateRow {
    pub(crate) id: Uuid,
    pub(crate) from_currency: String,
    pub(crate) to_currency: String,
    pub(crate) rate: String,
}

impl RateRow {
    /// The pair of currencies, and its rate.
    pub(crate) fn rate(self) -> Result<((Currency, Currency), AppliedRate)> {
        let broken = |why: String| Error::impossible_row("limit_rates", "rate", self.id, why);
        let currency = |code: &str| code.parse::<Currency>().map_err(|error| broken(error.to_string()));
        let rate = self.rate.parse().map_err(|error| broken(format!("{error}")))?;
        let pair = (currency(&self.from_currency)?, currency(&self.to_currency)?);
        Ok((pair, AppliedRate { id: self.id, rate }))
    }
}

/// Whether an operation is in another currency than its merchant's limits.
pub(crate) fn foreign(operations: &[Operation], loaded: &Loaded) -> bool {
    operations.iter().any(|operation| {
        let currency = loaded.currency_to_count(operation);
        let account = loaded.accounts.get(&operation.merchant_id);
        account.zip(currency).is_some_and(|(account, currency)| account.terms.currency != currency)
    })
}

pub(super) async fn rates(source: &Source<'_, impl ConnectionTrait>, loaded: &mut Loaded) -> Result<()> {
    let sql = "SELECT id, from_currency, to_currency, rate FROM limit_rates WHERE in_force";
    for row in source.rows::<RateRow>(sql, []).await? {
        let (pair, rate) = row.rate()?;
        loaded.rates.insert(pair, rate);
    }
    Ok(())
}
