//! What is in force of a merchant and what it has used, as they stand at present, without writing.

use std::collections::HashMap;

use futures::FutureExt;
use payops_core::page::{Page, PageRequest};
use payops_core::time::Timestamp;
use payops_platform::db::{Backend, BoxFuture};
use payops_platform::error::{Error, Result};
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use crate::Limits;
use crate::decide::Account;
use crate::error;
use crate::store::hot::{Lookup, Source, complete, now};
use crate::store::{limit, tier};

/// A merchant's limits as people see them. `account` is at present; the counters of `limit` are as they were written.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) limit: limit::Model,
    pub(crate) tier: tier::Model,
    pub(crate) account: Account,
    pub(crate) now: Timestamp,
}

/// One picture of the database, to look at limits in.
pub(crate) struct Look<'c> {
    pub(crate) conn: &'c DatabaseTransaction,
    backend: Backend,
    lookup: Lookup,
}

/// Looks at one picture of the database.
pub(crate) async fn look<T, F>(app: &Limits, body: F) -> Result<T>
where
    F: for<'c> FnOnce(Look<'c>) -> BoxFuture<'c, Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let (backend, lookup) = (app.context.db.backend(), app.lookup.clone());
    app.context.db.snapshot(move |conn| body(Look { conn, backend, lookup })).await
}

impl<'c> Look<'c> {
    /// Rows as the decision reads them.
    pub(crate) fn source(&self) -> Source<'c, DatabaseTransaction> {
        Source::reading(self.conn, self.backend)
    }

    /// One merchant, or 404.
    pub(crate) async fn merchant(&self, merchant_id: Uuid) -> Result<Seen> {
        let limit = limit::find(self.conn, merchant_id).await?.ok_or_else(error::merchant_not_found)?;
        let seen = self.merchants(vec![limit]).await?;
        seen.into_iter().next().ok_or_else(|| Error::internal("a merchant was lost"))
    }

    async fn merchants(&self, limits: Vec<limit::Model>) -> Result<Vec<Seen>> {
        let tiers = limits.iter().map(|limit| limit.tier_id).collect();
        let tiers = tier::find_all(self.conn, tiers).await?;
        let tiers: HashMap<Uuid, tier::Model> = tiers.into_iter().map(|tier| (tier.id, tier)).collect();
        let tier_of = |limit: &limit::Model| {
            let broken =
                || Error::impossible_row("merchant_limits", "tier_id", limit.merchant_id, "no such tier");
            tiers.get(&limit.tier_id).cloned().ok_or_else(broken)
        };
        let mut rows = Vec::with_capacity(limits.len());
        for limit in &limits {
            rows.push(limit.account_row(&tier_of(limit)?));
        }
        let (accounts, now) = complete(&self.source(), rows, &self.lookup).await?;
        let seen = limits.into_iter().zip(accounts);
        seen.map(|(limit, account)| Ok(Seen { tier: tier_of(&limit)?, limit, account, now })).collect()
    }
}

/// One merchant, or 404.
pub(crate) async fn find(app: &Limits, merchant_id: Uuid) -> Result<Seen> {
    look(app, move |look| async move { look.merchant(merchant_id).await }.boxed()).await
}

/// A page of merchants.
pub(crate) async fn list(
    app: &Limits,
    filter: limit::Filter,
    request: PageRequest<Uuid>,
) -> Result<Page<Seen>> {
    look(app, move |look| {
        async move {
            let now = now(&look.source(), &look.lookup).await?;
            let page = limit::list(look.conn, &filter, &request, now).await?;
            // One for each row, in the same order.
            let mut seen = look.merchants(page.items.clone()).await?.into_iter();
            let page = page.map(|_| seen.next());
            let items = page.items.into_iter().flatten().collect();
            Ok(Page {
                items,
                page: page.page,
                page_size: page.page_size,
                total: page.total,
                total_capped: page.total_capped,
                next_cursor: page.next_cursor,
            })
        }
        .boxed()
    })
    .await
}
