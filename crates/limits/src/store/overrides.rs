//! `limit_overrides`.

use chrono::Utc;
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error;
use crate::model::{LimitKind, Override};

/// One limit that holds for a time; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "limit_overrides")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub merchant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub limit_kind: LimitKind,
    pub value: i64,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub reason: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub deleted_by: Option<String>,
    pub deleted_at: Option<Timestamp>,
    pub sweep_at: Option<Timestamp>,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which overrides a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those of this limit.
    pub limit_kind: Option<LimitKind>,
    /// Only those that hold at this instant; those that were taken back hold at none.
    pub at: Option<chrono::DateTime<Utc>>,
}

/// Stores a new override.
pub async fn insert(tx: &Tx, new: Model) -> Result<Model> {
    Ok(new.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// The override, locked with its merchant, or 404.
pub async fn lock(tx: &Tx, merchant_id: Uuid, id: Uuid) -> Result<Locked<Model>> {
    let found = Entity::find_by_id((merchant_id, id)).lock_exclusive().one(tx.conn()).await?;
    found.map(Locked::assert_locked).ok_or_else(error::override_not_found)
}

/// Takes an override back.
pub async fn delete(tx: &Tx, found: Locked<Model>, by: &str, now: Timestamp) -> Result<Model> {
    let mut row = found.into_inner().into_active_model();
    row.deleted_by = ActiveValue::Set(Some(by.to_owned()));
    row.deleted_at = ActiveValue::Set(Some(now));
    Ok(row.update(tx.conn()).await?)
}

/// Those of a merchant that are not over at `now`, the next to end first. The merchant's row is locked.
pub async fn open(tx: &Tx, merchant_id: Uuid, now: Timestamp) -> Result<Vec<Model>> {
    let rows = standing(merchant_id).filter(Column::EndsAt.gt(now)).order_by_asc(Column::EndsAt);
    Ok(rows.all(tx.conn()).await?)
}

/// Those of a merchant that hold at some instant of a period.
pub async fn during(
    conn: &impl ConnectionTrait,
    merchant_id: Uuid,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Override>> {
    let rows = standing(merchant_id)
        .filter(Column::StartsAt.lt(to))
        .filter(Column::EndsAt.gt(from))
        .order_by_asc(Column::StartsAt)
        .all(conn)
        .await?;
    Ok(rows.iter().map(Model::held).collect())
}

/// A page of a merchant's overrides, the newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    merchant_id: Uuid,
    filter: &Filter,
    request: &PageRequest<Uuid>,
) -> Result<Page<Model>> {
    let all = Entity::find()
        .filter(Column::MerchantId.eq(merchant_id))
        .apply_if(filter.limit_kind, |rows, kind| rows.filter(Column::LimitKind.eq(kind)))
        .apply_if(filter.at, |rows, at| {
            rows.filter(Column::DeletedAt.is_null())
                .filter(Column::StartsAt.lte(at))
                .filter(Column::EndsAt.gt(at))
        });
    let mut rows = all.clone().order_by_desc(Column::Id);
    if let Slice::After(id) = request.slice {
        rows = rows.filter(Column::Id.lt(id));
    }
    fetch_page(conn, all, rows, request, |found| found.id).await
}

/// Merchants with an override that has begun or ended at `now` without anybody having looked, in the order of their ids.
pub async fn turned(conn: &impl ConnectionTrait, now: Timestamp, most: u64) -> Result<Vec<Uuid>> {
    let merchants = Entity::find()
        .select_only()
        .column(Column::MerchantId)
        .distinct()
        .filter(Column::SweepAt.lte(now))
        .order_by_asc(Column::MerchantId)
        .limit(most)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(merchants)
}

/// Somebody has looked at the merchant at `now`: its overrides are to be looked at when they begin or end next.
pub async fn swept(tx: &Tx, merchant_id: Uuid, now: Timestamp) -> Result<()> {
    let of =
        || Entity::update_many().filter(Column::MerchantId.eq(merchant_id)).filter(Column::SweepAt.lte(now));
    let none = Expr::value(Option::<Timestamp>::None);
    of().col_expr(Column::SweepAt, none).filter(Column::EndsAt.lte(now)).exec(tx.conn()).await?;
    let end = Expr::col(Column::EndsAt);
    of().col_expr(Column::SweepAt, end).filter(Column::EndsAt.gt(now)).exec(tx.conn()).await?;
    Ok(())
}

impl Model {
    /// The override as a decision sees it.
    pub fn held(&self) -> Override {
        Override { kind: self.limit_kind, value: self.value, from: self.starts_at, to: self.ends_at }
    }
}

fn standing(merchant_id: Uuid) -> Select<Entity> {
    Entity::find().filter(Column::MerchantId.eq(merchant_id)).filter(Column::DeletedAt.is_null())
}
