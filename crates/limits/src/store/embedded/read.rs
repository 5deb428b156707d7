//! Reads what is known of the merchants and payments of a batch, in the order in which the other stores do.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use payops_core::time::{Clock, Timestamp};
use payops_platform::error::Result;
use rusqlite::{Connection, Params, Row, params};
use sea_orm::ActiveEnum;
use uuid::Uuid;

use super::time;
use crate::batch::Loaded;
use crate::decide::{Action, Operation};
use crate::model::{LimitKind, Override};
use crate::store::hot::{RateRow, foreign};
use crate::store::native::{self, ACCOUNT, PAYMENT, RELEASE};

static ACCOUNTS: LazyLock<String> = LazyLock::new(|| format!("SELECT {ACCOUNT} WHERE m.merchant_id = ?1"));

static PAYMENTS: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {PAYMENT} FROM limit_payments WHERE merchant_id = ?1 AND payment_no = ?2")
});

static RELEASES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {RELEASE} FROM limit_releases WHERE merchant_id = ?1 AND payment_no = ?2 AND release_no = ?3"
    )
});

static DUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {PAYMENT} FROM limit_payments WHERE merchant_id = ?1 AND state = 'reserved' AND expires_at <= ?2 \
         ORDER BY expires_at, payment_no"
    )
});

const NEXT_EXPIRY: &str = "SELECT MIN(expires_at) FROM limit_payments \
     WHERE merchant_id = ?1 AND state = 'reserved' AND expires_at > ?2";

/// Those that are not over: one that is binds nobody any more, and there may be many.
const OVERRIDES: &str = "SELECT limit_kind, value, starts_at, ends_at FROM limit_overrides \
     WHERE merchant_id = ?1 AND ends_at > ?2 AND deleted_at IS NULL ORDER BY starts_at";

const RATES: &str = "SELECT id, from_currency, to_currency, rate FROM limit_rates WHERE in_force";

/// Reads the clock once nobody else can write, and everything that the operations need to know.
pub(super) fn load(
    connection: &Connection,
    operations: &[Operation],
    clock: &dyn Clock,
) -> Result<(Loaded, Timestamp)> {
    let mut loaded = Loaded::default();
    let now = clock.now();
    let merchants: BTreeSet<Uuid> = operations.iter().map(|operation| operation.merchant_id).collect();
    for merchant_id in merchants {
        account(connection, merchant_id, now, &mut loaded)?;
    }
    for operation in operations {
        match &operation.action {
            Action::Sweep => continue,
            Action::Release(request) => {
                let key = params![operation.merchant_id, operation.payment_no, request.release_no];
                if let Some(row) = one(connection, &RELEASES, key, |row| native::release(row))? {
                    let release = row.release();
                    let key = (release.merchant_id, release.payment_no.clone(), release.release_no.clone());
                    loaded.releases.insert(key, release);
                }
            }
            _ => {}
        }
        let key = params![operation.merchant_id, operation.payment_no];
        if let Some(row) = one(connection, &PAYMENTS, key, |row| native::payment(row))? {
            let payment = row.payment()?;
            loaded.payments.insert((payment.merchant_id, payment.payment_no.clone()), payment);
        }
    }
    if foreign(operations, &loaded) {
        rates(connection, &mut loaded)?;
    }
    Ok((loaded, now))
}

/// A merchant, its overrides, and its reservations that are over.
fn account(connection: &Connection, merchant_id: Uuid, now: Timestamp, loaded: &mut Loaded) -> Result<()> {
    let Some(row) = one(connection, &ACCOUNTS, [merchant_id], |row| native::account(row))? else {
        return Ok(());
    };
    let overridden = row.has_overrides;
    let mut account = row.account()?;
    if overridden {
        let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        for (kind, value, from, to) in all(connection, OVERRIDES, params![merchant_id, time(now)], row)? {
            let kind = LimitKind::try_from_value(&kind)?;
            account.terms.overrides.push(Override { kind, value, from, to });
        }
    }
    if account.usage.next_expiry.is_some_and(|end| end <= now) {
        for row in all(connection, &DUE, params![merchant_id, time(now)], |row| native::payment(row))? {
            let payment = row.payment()?;
            loaded.due.entry(merchant_id).or_default().push(payment.payment_no.clone());
            loaded.payments.insert((merchant_id, payment.payment_no.clone()), payment);
        }
        let next = one(connection, NEXT_EXPIRY, params![merchant_id, time(now)], |row| Ok(row.get(0)?))?;
        loaded.next_expiry.insert(merchant_id, next.flatten());
    }
    loaded.accounts.insert(merchant_id, account);
    Ok(())
}

fn rates(connection: &Connection, loaded: &mut Loaded) -> Result<()> {
    let row = |row: &Row<'_>| {
        Ok(RateRow {
            id: row.get(0)?,
            from_currency: row.get(1)?,
            to_currency: row.get(2)?,
            rate: row.get(3)?,
        })
    };
    for row in all(connection, RATES, [], row)? {
        let (pair, rate) = row.rate()?;
        loaded.rates.insert(pair, rate);
    }
    Ok(())
}

/// The row that a statement gives, if it gives one.
fn one<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(read).transpose()
}

/// The rows that a statement gives.
fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}
