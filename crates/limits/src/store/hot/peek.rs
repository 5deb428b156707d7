//! Reads the same rows as a decision does, without a lock and without writing: for answers that decide nothing.

use std::collections::BTreeSet;

use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use payops_platform::error::Result;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::load::{
    AccountRow, Lookup, PaymentRow, ReleaseRow, Source, accounts_and_now, now, particulars, rates,
};
use crate::batch::Loaded;
use crate::decide::{Account, Changes};
use crate::model::{Payment, Release};

/// What is known of merchants, and the present. Rates are read when a merchant is asked about another currency than its
/// own. Merchants without limits are missing.
pub(crate) async fn peek(
    source: &Source<'_, impl ConnectionTrait>,
    wanted: &[(Uuid, Option<Currency>)],
    lookup: &Lookup,
) -> Result<(Loaded, Timestamp)> {
    let mut loaded = Loaded::default();
    let (overridden, now) = accounts_of(source, wanted, lookup, &mut loaded).await?;
    particulars(source, &overridden, now, &mut loaded).await?;
    if foreign(wanted, &loaded) {
        rates(source, &mut loaded).await?;
    }
    Ok((loaded, now))
}

/// As [`peek`], by one statement, where it tells all: `None` where overrides, reservations that are over or rates are to be
/// read as well, for which [`peek`] needs a picture that stands still.
pub(crate) async fn glance(
    source: &Source<'_, impl ConnectionTrait>,
    wanted: &[(Uuid, Option<Currency>)],
    lookup: &Lookup,
) -> Result<Option<(Loaded, Timestamp)>> {
    let mut loaded = Loaded::default();
    let (overridden, now) = accounts_of(source, wanted, lookup, &mut loaded).await?;
    let due = loaded.accounts.values().any(|account| account.usage.next_expiry.is_some_and(|end| end <= now));
    let more = !overridden.is_empty() || due || foreign(wanted, &loaded);
    Ok((!more).then_some((loaded, now)))
}

async fn accounts_of(
    source: &Source<'_, impl ConnectionTrait>,
    wanted: &[(Uuid, Option<Currency>)],
    lookup: &Lookup,
    loaded: &mut Loaded,
) -> Result<(Vec<Uuid>, Timestamp)> {
    let merchants: BTreeSet<Uuid> = wanted.iter().map(|(merchant_id, _)| *merchant_id).collect();
    let (overridden, told) = accounts_and_now(source, &merchants, lookup, loaded).await?;
    let now = match told {
        Some(now) => now,
        None => now(source, lookup).await?,
    };
    Ok((overridden, now))
}

/// Whether a merchant is asked about another currency than its own.
fn foreign(wanted: &[(Uuid, Option<Currency>)], loaded: &Loaded) -> bool {
    wanted.iter().any(|(merchant_id, currency)| {
        let account = loaded.accounts.get(merchant_id);
        account.zip(*currency).is_some_and(|(account, currency)| account.terms.currency != currency)
    })
}

/// The merchants of rows that were read already, as they are at present: windows that are over are rolled, reservations
/// whose time has come are let go, and nothing is written. In the order of the rows.
pub(crate) async fn complete(
    source: &Source<'_, impl ConnectionTrait>,
    rows: Vec<AccountRow>,
    lookup: &Lookup,
) -> Result<(Vec<Account>, Timestamp)> {
    let mut loaded = Loaded::default();
    let overridden: Vec<Uuid> =
        rows.iter().filter(|row| row.has_overrides).map(|row| row.merchant_id).collect();
    let merchants: Vec<Uuid> = rows.iter().map(|row| row.merchant_id).collect();
    for row in rows {
        loaded.accounts.insert(row.merchant_id, row.account()?);
    }
    let now = now(source, lookup).await?;
    particulars(source, &overridden, now, &mut loaded).await?;
    Ok((merchants.into_iter().filter_map(|merchant| brought_up(&loaded, merchant, now)).collect(), now))
}

/// A merchant as its next operation will find it: `None` without limits.
pub(crate) fn brought_up(loaded: &Loaded, merchant_id: Uuid, now: Timestamp) -> Option<Account> {
    let mut account = loaded.accounts.get(&merchant_id)?.clone();
    let due = loaded.due.get(&merchant_id).into_iter().flatten();
    let mut due: Vec<Payment> =
        due.filter_map(|number| loaded.payments.get(&(merchant_id, number.clone())).cloned()).collect();
    account.advance(now, &mut due, &mut Changes::default());
    Some(account)
}

/// One payment, if the merchant has it.
pub(crate) async fn payment(
    source: &Source<'_, impl ConnectionTrait>,
    merchant_id: Uuid,
    payment_no: &str,
) -> Result<Option<Payment>> {
    let sql = "SELECT * FROM limit_payments WHERE merchant_id = $1 AND payment_no = $2";
    let rows: Vec<PaymentRow> = source.rows(sql, [merchant_id.into(), payment_no.into()]).await?;
    rows.into_iter().next().map(PaymentRow::payment).transpose()
}

/// The releases of a payment, the first first.
pub(crate) async fn releases(
    source: &Source<'_, impl ConnectionTrait>,
    merchant_id: Uuid,
    payment_no: &str,
) -> Result<Vec<Release>> {
    let sql = "SELECT * FROM limit_releases WHERE merchant_id = $1 AND payment_no = $2 \
        ORDER BY created_at, release_no";
    let rows: Vec<ReleaseRow> = source.rows(sql, [merchant_id.into(), payment_no.into()]).await?;
    Ok(rows.into_iter().map(ReleaseRow::release).collect())
}
