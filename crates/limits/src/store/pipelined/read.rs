//! Locks and reads what is known of the merchants and payments of a batch.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use futures::try_join;
use payops_core::time::Timestamp;
use payops_platform::error::{Error, Result};
use sea_orm::ActiveEnum;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::session::{Locking, Session, prepare};
use crate::batch::Loaded;
use crate::decide::{Action, Operation};
use crate::model::{LimitKind, Override};
use crate::store::hot::{AccountRow, Lookup, PaymentRow, RateRow, ReleaseRow, foreign};
use crate::store::native::{ACCOUNT, PAYMENT, RELEASE, account, payment, release};

const NOW: &str = "SELECT clock_timestamp()";

/// Those that are not over: one that is binds nobody any more, and there may be many.
const OVERRIDES: &str = "SELECT o.merchant_id, o.limit_kind, o.value, o.starts_at, o.ends_at \
     FROM unnest($1::uuid[]) AS k(merchant_id) \
     JOIN limit_overrides o ON o.merchant_id = k.merchant_id AND o.ends_at > $2 \
     WHERE o.deleted_at IS NULL ORDER BY o.starts_at";

const NEXT_EXPIRY: &str = "SELECT k.merchant_id, MIN(p.expires_at) FROM unnest($1::uuid[]) AS k(merchant_id) \
     JOIN limit_payments p ON p.merchant_id = k.merchant_id AND p.state = 'reserved' AND p.expires_at > $2 \
     GROUP BY k.merchant_id";

const RATES: &str = "SELECT id, from_currency, to_currency, rate FROM limit_rates WHERE in_force";

/// The statements that read.
#[derive(Debug)]
pub(super) struct Statements {
    accounts: Statement,
    one_account: Statement,
    now: Statement,
    payments: Statement,
    releases: Statement,
    overrides: Statement,
    due: Statement,
    next_expiry: Statement,
    rates: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self> {
        let accounts = format!(
            "/* limits.decide: accounts */ SELECT {ACCOUNT} WHERE m.merchant_id = ANY($1::uuid[]) \
             ORDER BY m.merchant_id FOR UPDATE OF m"
        );
        let one_account = format!(
            "/* limits.decide: account */ SELECT {ACCOUNT} WHERE m.merchant_id = $1::uuid FOR UPDATE OF m"
        );
        let payments = format!(
            "/* limits.decide: payments */ SELECT {PAYMENT} FROM unnest($1::uuid[], $2::text[]) AS k(m, n) \
             JOIN limit_payments ON merchant_id = k.m AND payment_no = k.n"
        );
        let due = format!(
            "SELECT {PAYMENT} FROM unnest($1::uuid[]) AS k(m) \
             JOIN limit_payments ON merchant_id = k.m AND state = 'reserved' AND expires_at <= $2 \
             ORDER BY expires_at, payment_no"
        );
        let releases = format!(
            "SELECT {RELEASE} FROM (SELECT DISTINCT * FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u(m, n, r)) k \
             JOIN limit_releases ON merchant_id = k.m AND payment_no = k.n AND release_no = k.r"
        );
        let texts = [&accounts, &one_account, NOW, &payments, &releases, OVERRIDES, &due, NEXT_EXPIRY, RATES];
        let [accounts, one_account, now, payments, releases, overrides, due, next_expiry, rates] =
            prepare(client, texts).await?;
        Ok(Self { accounts, one_account, now, payments, releases, overrides, due, next_expiry, rates })
    }
}

impl Session {
    /// Begins a transaction, locks the merchants' rows in the order of their ids, then reads the clock, then everything
    /// else that the operations need to know.
    pub(super) async fn load(
        &self,
        operations: &[Operation],
        lookup: &Lookup,
    ) -> Result<(Loaded, Timestamp)> {
        let mut loaded = Loaded::default();
        let merchants: BTreeSet<Uuid> = operations.iter().map(|operation| operation.merchant_id).collect();
        let merchants: Vec<Uuid> = merchants.into_iter().collect();
        let begin = async { Ok(self.client.batch_execute("BEGIN").await?) };
        let ((), (accounts, mut now), payments, releases) = try_join!(
            begin,
            self.lock(&merchants, lookup),
            self.payments(operations),
            self.releases(operations)
        )?;
        let mut overridden = keep(accounts, &mut loaded)?;
        let missing: Vec<Uuid> =
            merchants.iter().copied().filter(|merchant| !loaded.accounts.contains_key(merchant)).collect();
        if !missing.is_empty() {
            // A merchant that was given another tier while this waited for its row has dropped out of the join: a second
            // look finds it. One without limits is still not there.
            let (accounts, later) = self.lock(&missing, lookup).await?;
            overridden.extend(keep(accounts, &mut loaded)?);
            now = later;
        }
        for payment in payments {
            let payment = payment.payment()?;
            loaded.payments.insert((payment.merchant_id, payment.payment_no.clone()), payment);
        }
        for release in releases {
            let release = release.release();
            let key = (release.merchant_id, release.payment_no.clone(), release.release_no.clone());
            loaded.releases.insert(key, release);
        }
        self.particulars(operations, &overridden, now, &mut loaded).await?;
        Ok((loaded, now))
    }

    /// Locks merchants' rows, then reads the clock.
    async fn lock(&self, merchants: &[Uuid], lookup: &Lookup) -> Result<(Vec<AccountRow>, Timestamp)> {
        let accounts = async {
            let rows = match self.locking {
                Locking::Together => self.rows(&self.read.accounts, &[&merchants]).await?,
                Locking::OneByOne => {
                    let one = async |merchant: &Uuid| self.rows(&self.read.one_account, &[merchant]).await;
                    try_join_all(merchants.iter().map(one)).await?.into_iter().flatten().collect()
                }
            };
            rows.iter().map(account).collect::<Result<Vec<_>>>()
        };
        let now = async {
            match lookup {
                Lookup::Clock(_) => Ok(None),
                Lookup::Database => {
                    let rows = self.rows(&self.read.now, &[]).await?;
                    let row = rows.first().ok_or_else(|| Error::internal("the database tells no time"))?;
                    Ok(Some(row.try_get(0)?))
                }
            }
        };
        let (accounts, now) = try_join!(accounts, now)?;
        let now = match (now, lookup) {
            (Some(now), _) => now,
            (None, Lookup::Clock(clock)) => clock.now(),
            (None, Lookup::Database) => return Err(Error::internal("the database tells no time")),
        };
        Ok((accounts, now))
    }

    async fn payments(&self, operations: &[Operation]) -> Result<Vec<PaymentRow>> {
        let keys: BTreeSet<(Uuid, &str)> = operations
            .iter()
            .filter(|operation| operation.action != Action::Sweep)
            .map(|operation| (operation.merchant_id, operation.payment_no.as_str()))
            .collect();
        let (merchants, numbers): (Vec<Uuid>, Vec<&str>) = keys.into_iter().unzip();
        let rows = self.rows(&self.read.payments, &[&merchants, &numbers]).await?;
        rows.iter().map(payment).collect()
    }

    async fn releases(&self, operations: &[Operation]) -> Result<Vec<ReleaseRow>> {
        let mut keys = (Vec::new(), Vec::new(), Vec::new());
        for operation in operations {
            if let Action::Release(request) = &operation.action {
                keys.0.push(operation.merchant_id);
                keys.1.push(operation.payment_no.as_str());
                keys.2.push(request.release_no.as_str());
            }
        }
        if keys.0.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.rows(&self.read.releases, &[&keys.0, &keys.1, &keys.2]).await?;
        rows.iter().map(release).collect()
    }

    /// What few batches need: overrides, reservations that are over, rates.
    async fn particulars(
        &self,
        operations: &[Operation],
        overridden: &[Uuid],
        now: Timestamp,
        loaded: &mut Loaded,
    ) -> Result<()> {
        if !overridden.is_empty() {
            for row in self.rows(&self.read.overrides, &[&overridden, &now]).await? {
                let (merchant_id, kind): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
                let kind = LimitKind::try_from_value(&kind)?;
                let (value, from, to) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
                if let Some(account) = loaded.accounts.get_mut(&merchant_id) {
                    account.terms.overrides.push(Override { kind, value, from, to });
                }
            }
        }
        let accounts = loaded.accounts.values();
        let due: Vec<Uuid> = accounts
            .filter(|account| account.usage.next_expiry.is_some_and(|end| end <= now))
            .map(|account| account.merchant_id)
            .collect();
        if !due.is_empty() {
            self.due_reservations(&due, now, loaded).await?;
        }
        if foreign(operations, loaded) {
            for row in self.rows(&self.read.rates, &[]).await? {
                let row = RateRow {
                    id: row.try_get(0)?,
                    from_currency: row.try_get(1)?,
                    to_currency: row.try_get(2)?,
                    rate: row.try_get(3)?,
                };
                let (pair, rate) = row.rate()?;
                loaded.rates.insert(pair, rate);
            }
        }
        Ok(())
    }

    /// The reservations of these merchants that are over at `now`, and when each merchant's next one will be.
    async fn due_reservations(&self, merchants: &[Uuid], now: Timestamp, loaded: &mut Loaded) -> Result<()> {
        let parameters: [&(dyn ToSql + Sync); 2] = [&merchants, &now];
        let (due, next) = try_join!(
            self.rows(&self.read.due, &parameters),
            self.rows(&self.read.next_expiry, &parameters)
        )?;
        for row in &due {
            let payment = payment(row)?.payment()?;
            let (merchant, number) = (payment.merchant_id, payment.payment_no.clone());
            loaded.due.entry(merchant).or_default().push(number.clone());
            loaded.payments.insert((merchant, number), payment);
        }
        loaded.next_expiry.extend(merchants.iter().map(|merchant| (*merchant, None)));
        for row in next {
            loaded.next_expiry.insert(row.try_get(0)?, row.try_get(1)?);
        }
        Ok(())
    }
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
