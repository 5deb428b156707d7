//! `limit_alerts`, as they are numbered, sent and read. Decisions write them in [`super::hot`].

use std::collections::HashMap;

use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, Query};
use sea_orm::{ActiveEnum, QueryOrder, QuerySelect, QueryTrait};
use serde_json::json;

use super::delivery;
use super::hot::changed;
use super::rows::{Kind, id, pack, time, unpack};
use crate::model::{DeliveryState, LimitKind};

/// A threshold that was crossed; the columns are explained in the migrations.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "limit_alerts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub merchant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub limit_kind: LimitKind,
    #[sea_orm(primary_key, auto_increment = false)]
    pub threshold: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub crossed: bool,
    #[sea_orm(primary_key, auto_increment = false)]
    pub created_at: Timestamp,
    pub window_start: Timestamp,
    pub used_amount: i64,
    pub limit_amount: i64,
    pub alert_no: Option<i64>,
    pub event: Option<String>,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Where an alert stands in a merchant's list: number of the log row, time, limit, threshold, direction.
pub type Place = (i64, Timestamp, LimitKind, i16, bool);

/// An alert with its number and its words.
#[derive(Debug, Clone)]
pub struct Numbered {
    pub alert: Model,
    pub alert_no: i64,
    pub event: String,
}

/// Alerts that have no number yet, of each merchant in the order in which they came, locked.
pub async fn lock_new(tx: &Tx, most: u64) -> Result<Vec<Model>> {
    let mut rows = Entity::find()
        .filter(Column::AlertNo.is_null())
        .order_by_asc(Column::MerchantId)
        .order_by_asc(Column::Seq)
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::LimitKind)
        .order_by_asc(Column::Threshold)
        .limit(most)
        .lock_exclusive()
        .all(tx.conn())
        .await?;
    // On the way down the highest comes first.
    let rank = |alert: &Model| if alert.crossed { alert.threshold } else { -alert.threshold };
    rows.sort_by(|a, b| {
        let key = |of: &Model| (of.merchant_id, of.seq, of.created_at, of.limit_kind.to_value(), rank(of));
        key(a).cmp(&key(b))
    });
    Ok(rows)
}

/// The highest number of each of these merchants that has any.
pub async fn last_numbers(tx: &Tx, merchants: &[Uuid]) -> Result<HashMap<Uuid, i64>> {
    let rows: Vec<(Uuid, i64)> = Entity::find()
        .select_only()
        .column(Column::MerchantId)
        .column_as(Column::AlertNo.max(), "last_no")
        .filter(Column::MerchantId.is_in(merchants.iter().copied()))
        .filter(Column::AlertNo.is_not_null())
        .group_by(Column::MerchantId)
        .into_tuple()
        .all(tx.conn())
        .await?;
    Ok(rows.into_iter().collect())
}

/// Writes numbers and words.
pub async fn number(tx: &Tx, alerts: &[Numbered]) -> Result<()> {
    use Kind::{Bool, Number, Small, Text, Time, Uuid};
    let columns = [Uuid, Number, Text, Small, Bool, Time, Number, Text];
    let sql = format!(
        "UPDATE limit_alerts SET alert_no = n.c6, event = n.c7 FROM ({}) n \
         WHERE limit_alerts.merchant_id = n.c0 AND seq = n.c1 AND limit_kind = n.c2 AND threshold = n.c3 \
         AND crossed = n.c4 AND created_at = n.c5",
        unpack(tx.backend(), &columns)
    );
    let row = |of: &Numbered| {
        let key = &of.alert;
        let kind = key.limit_kind.to_value();
        json!([
            id(key.merchant_id),
            key.seq,
            kind,
            key.threshold,
            key.crossed,
            time(key.created_at),
            of.alert_no,
            of.event
        ])
    };
    changed(tx, &sql, pack(alerts.iter().map(row)), alerts.len()).await
}

/// The alert of a number.
pub async fn find(conn: &impl ConnectionTrait, merchant_id: Uuid, alert_no: i64) -> Result<Option<Model>> {
    let rows = Entity::find().filter(Column::MerchantId.eq(merchant_id)).filter(Column::AlertNo.eq(alert_no));
    Ok(rows.one(conn).await?)
}

/// A page of a merchant's alerts, the newest first; only those with a delivery in `state`, if it is named.
pub async fn list(
    conn: &impl ConnectionTrait,
    merchant_id: Uuid,
    state: Option<DeliveryState>,
    request: &PageRequest<Place>,
) -> Result<Page<Model>> {
    let all = Entity::find().filter(Column::MerchantId.eq(merchant_id)).apply_if(state, |rows, state| {
        let numbers = Query::select()
            .column(delivery::Column::AlertNo)
            .from(delivery::Entity)
            .and_where(delivery::Column::MerchantId.eq(merchant_id))
            .and_where(delivery::Column::State.eq(state))
            .to_owned();
        rows.filter(Column::AlertNo.in_subquery(numbers))
    });
    let order = [Column::Seq, Column::CreatedAt, Column::LimitKind, Column::Threshold, Column::Crossed];
    let mut rows = order.iter().fold(all.clone(), |rows, column| rows.order_by_desc(*column));
    if let Slice::After((seq, created_at, kind, threshold, crossed)) = &request.slice {
        let place: [Expr; 5] = [
            Expr::value(*seq),
            Expr::value(*created_at),
            Expr::value(kind.to_value()),
            Expr::value(*threshold),
            Expr::value(*crossed),
        ];
        rows = rows.filter(Expr::tuple(order.map(Expr::col)).lt(Expr::tuple(place)));
    }
    let place = |row: &Model| (row.seq, row.created_at, row.limit_kind, row.threshold, row.crossed);
    fetch_page(conn, all, rows, request, place).await
}
