//! `limit_usage_logs`, as people read it.
//!
//! The log has one key, a merchant's numbers in order, since each index more would cost every payment. Times grow with the
//! numbers, so a period is found by halving, and only its rows are read.

use std::ops::Range;

use chrono::TimeDelta;
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::fetch_page;
use payops_platform::error::{Error, Result};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, Func};
use sea_orm::{QueryOrder, QuerySelect, QueryTrait};

use crate::model::{ActionType, Counters, LogRow};

/// One decision; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "limit_usage_logs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub merchant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub created_at: Timestamp,
    pub action_type: ActionType,
    pub payment_no: Option<String>,
    pub order_no: Option<String>,
    pub release_no: Option<String>,
    pub amount: i64,
    pub currency: String,
    pub counted_amount: i64,
    pub daily_used_before: i64,
    pub daily_used_after: i64,
    pub monthly_used_before: i64,
    pub monthly_used_after: i64,
    pub pending_before: i64,
    pub pending_after: i64,
    pub daily_delta: i64,
    pub monthly_delta: i64,
    pub pending_delta: i64,
    pub success: bool,
    pub failure_reason: Option<String>,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A part of a merchant's log: rows of some numbers, decided in `[from, to)`.
#[derive(Debug, Clone)]
pub struct Stretch {
    merchant_id: Uuid,
    seqs: Range<i64>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

/// What else a row must be to be shown.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// About this.
    pub action: Option<ActionType>,
    /// About this payment.
    pub payment_no: Option<String>,
    /// Allowed, or refused.
    pub success: Option<bool>,
}

impl Stretch {
    /// The rows of a period; `None` is an open end. `last_seq` is the number of the merchant's last row.
    pub async fn find(
        conn: &impl ConnectionTrait,
        merchant_id: Uuid,
        last_seq: i64,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<Self> {
        // A clock that was set back puts rows a little out of order.
        let slack = TimeDelta::minutes(5);
        let mut seqs = 1..last_seq.saturating_add(1);
        if let Some(at) = from.and_then(|from| from.checked_sub_signed(slack)) {
            seqs.start = first_at(conn, merchant_id, seqs.clone(), at).await?;
        }
        if let Some(at) = to.and_then(|to| to.checked_add_signed(slack)) {
            seqs.end = first_at(conn, merchant_id, seqs.clone(), at).await?;
        }
        Ok(Self { merchant_id, seqs, from, to })
    }

    fn rows(&self) -> Select<Entity> {
        Entity::find()
            .filter(Column::MerchantId.eq(self.merchant_id))
            .filter(Column::Seq.gte(self.seqs.start))
            .filter(Column::Seq.lt(self.seqs.end))
            .apply_if(self.from, |rows, from| rows.filter(Column::CreatedAt.gte(from)))
            .apply_if(self.to, |rows, to| rows.filter(Column::CreatedAt.lt(to)))
    }

    /// A page of it, the newest first.
    pub async fn list(
        &self,
        conn: &impl ConnectionTrait,
        filter: &Filter,
        request: &PageRequest<i64>,
    ) -> Result<Page<Model>> {
        let filter = filter.clone();
        let all = self
            .rows()
            .apply_if(filter.action, |rows, action| rows.filter(Column::ActionType.eq(action)))
            .apply_if(filter.payment_no, |rows, number| rows.filter(Column::PaymentNo.eq(number)))
            .apply_if(filter.success, |rows, success| rows.filter(Column::Success.eq(success)));
        let mut rows = all.clone().order_by_desc(Column::Seq);
        if let Slice::After(seq) = request.slice {
            rows = rows.filter(Column::Seq.lt(seq));
        }
        fetch_page(conn, all, rows, request, |row| row.seq).await
    }

    /// Its rows about one payment, the first first, `most` of them at most.
    pub async fn of_payment(
        &self,
        conn: &impl ConnectionTrait,
        payment_no: &str,
        most: u64,
    ) -> Result<Vec<Model>> {
        let rows = self.rows().filter(Column::PaymentNo.eq(payment_no)).order_by_asc(Column::Seq);
        Ok(rows.limit(most).all(conn).await?)
    }

    /// How many consumes and reserves were allowed, and how many were refused.
    pub async fn decisions(&self, conn: &impl ConnectionTrait) -> Result<(i64, i64)> {
        let counted: Vec<(bool, i64)> = self
            .rows()
            .select_only()
            .column(Column::Success)
            .expr_as(ExprTrait::cast_as(Func::count(Expr::col(Column::Seq)), "BIGINT"), "decisions")
            .filter(Column::ActionType.is_in([ActionType::Consume, ActionType::Reserve]))
            .group_by(Column::Success)
            .into_tuple()
            .all(conn)
            .await?;
        let of =
            |wanted| counted.iter().filter(|(success, _)| *success == wanted).map(|(_, count)| count).sum();
        Ok((of(true), of(false)))
    }

    /// The next of its rows after number `after`, for work that goes through all of them.
    pub async fn after(&self, conn: &impl ConnectionTrait, after: i64, size: u64) -> Result<Vec<LogRow>> {
        let rows = self.rows().filter(Column::Seq.gt(after)).order_by_asc(Column::Seq).limit(size);
        rows.all(conn).await?.into_iter().map(Model::row).collect()
    }

    /// How many rows it may have at most.
    pub fn most_rows(&self) -> i64 {
        self.seqs.end - self.seqs.start
    }
}

/// The first number within `seqs` that was decided at `at` or later; the end when there is none.
async fn first_at(
    conn: &impl ConnectionTrait,
    merchant_id: Uuid,
    mut seqs: Range<i64>,
    at: Timestamp,
) -> Result<i64> {
    while seqs.start < seqs.end {
        let middle = seqs.start + (seqs.end - seqs.start) / 2;
        let decided: Option<Timestamp> = Entity::find_by_id((merchant_id, middle))
            .select_only()
            .column(Column::CreatedAt)
            .into_tuple()
            .one(conn)
            .await?;
        let decided = decided.ok_or_else(|| {
            Error::impossible_row("limit_usage_logs", "seq", merchant_id, format!("{middle} is missing"))
        })?;
        if decided < at {
            seqs.start = middle + 1;
        } else {
            seqs.end = middle;
        }
    }
    Ok(seqs.start)
}

impl Model {
    fn row(self) -> Result<LogRow> {
        let key = format!("{} {}", self.merchant_id, self.seq);
        let currency = self.currency.parse().map_err(|error| {
            Error::impossible_row("limit_usage_logs", "currency", key, format!("{error}"))
        })?;
        Ok(LogRow {
            merchant_id: self.merchant_id,
            seq: self.seq,
            created_at: self.created_at,
            action: self.action_type,
            payment_no: self.payment_no,
            order_no: self.order_no,
            release_no: self.release_no,
            amount: self.amount,
            currency,
            counted: self.counted_amount,
            before: Counters {
                daily: self.daily_used_before,
                monthly: self.monthly_used_before,
                pending: self.pending_before,
            },
            after: Counters {
                daily: self.daily_used_after,
                monthly: self.monthly_used_after,
                pending: self.pending_after,
            },
            success: self.success,
            reason: self.failure_reason,
        })
    }
}
