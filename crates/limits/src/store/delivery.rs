//! `limit_alert_deliveries`.

use payops_core::time::Timestamp;
use payops_platform::db::{Backend, Tx};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveEnum, FromQueryResult, QueryOrder, QuerySelect};
use serde_json::json;

use super::hot::{Table, insert};
use super::rows::{Kind, id, time};
use crate::model::{Channel, DeliveryState};

/// One alert for one destination; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "limit_alert_deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub merchant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub alert_no: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel: Channel,
    #[sea_orm(primary_key, auto_increment = false)]
    pub recipient: String,
    pub state: DeliveryState,
    pub attempts: i32,
    pub next_attempt_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub delivered_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What is to be sent now.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Due {
    pub merchant_id: Uuid,
    pub alert_no: i64,
    pub channel: Channel,
    pub recipient: String,
    pub attempts: i32,
    /// The alert in words.
    pub event: String,
}

/// A destination that is to be told of an alert.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub merchant_id: Uuid,
    pub alert_no: i64,
    pub channel: Channel,
    pub recipient: String,
}

const DELIVERIES: Table = (
    "limit_alert_deliveries",
    "merchant_id, alert_no, channel, recipient, state, next_attempt_at, created_at",
    &[Kind::Uuid, Kind::Number, Kind::Text, Kind::Text, Kind::Text, Kind::Time, Kind::Time],
);

/// Adds deliveries that are due at once.
pub async fn add(tx: &Tx, new: &[NewDelivery], now: Timestamp) -> Result<()> {
    let row = |of: &NewDelivery| {
        let (channel, state) = (of.channel.to_value(), DeliveryState::Pending.to_value());
        json!([id(of.merchant_id), of.alert_no, channel, of.recipient, state, time(now), time(now)])
    };
    insert(tx, DELIVERIES, new.iter().map(row)).await
}

/// What a channel is to send at `now`: what has waited longest first, of one merchant in order.
pub async fn due(
    conn: &impl ConnectionTrait,
    backend: Backend,
    channel: Channel,
    now: Timestamp,
    most: u64,
) -> Result<Vec<Due>> {
    let sql = "SELECT d.merchant_id, d.alert_no, d.channel, d.recipient, d.attempts, a.event \
         FROM limit_alert_deliveries d \
         JOIN limit_alerts a ON a.merchant_id = d.merchant_id AND a.alert_no = d.alert_no \
         WHERE d.state = 'pending' AND d.channel = $1 AND d.next_attempt_at <= $2 \
         ORDER BY d.next_attempt_at, d.merchant_id, d.alert_no LIMIT $3";
    let values = [channel.to_value().into(), now.into(), most.into()];
    Ok(Due::find_by_statement(backend.statement(sql, values)).all(conn).await?)
}

/// When a channel's next delivery is due; `None` when none is pending.
pub async fn next_due(conn: &impl ConnectionTrait, channel: Channel) -> Result<Option<Timestamp>> {
    let next: Option<Option<Timestamp>> = Entity::find()
        .select_only()
        .column(Column::NextAttemptAt)
        .filter(Column::Channel.eq(channel))
        .filter(Column::State.eq(DeliveryState::Pending))
        .order_by_asc(Column::NextAttemptAt)
        .limit(1)
        .into_tuple()
        .one(conn)
        .await?;
    Ok(next.flatten())
}

/// Begins an attempt, and says when the next one is due if nothing comes of it. False when somebody else was faster.
pub async fn begin(tx: &Tx, due: &Due, next: Timestamp) -> Result<bool> {
    let begun = of(due)
        .col_expr(Column::Attempts, Expr::value(due.attempts + 1))
        .col_expr(Column::NextAttemptAt, Expr::value(next))
        .filter(Column::State.eq(DeliveryState::Pending))
        .filter(Column::Attempts.eq(due.attempts))
        .exec(tx.conn())
        .await?;
    Ok(begun.rows_affected == 1)
}

/// The receiver has it. This is so whatever has happened to the row meanwhile.
pub async fn delivered(tx: &Tx, due: &Due, now: Timestamp) -> Result<()> {
    of(due)
        .col_expr(Column::State, Expr::value(DeliveryState::Delivered.to_value()))
        .col_expr(Column::DeliveredAt, Expr::value(now))
        .col_expr(Column::NextAttemptAt, Expr::value(Option::<Timestamp>::None))
        .col_expr(Column::LastError, Expr::value(Option::<String>::None))
        .filter(Column::State.ne(DeliveryState::Delivered))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// The attempt that was begun from `due` has come to nothing; with `last`, no other follows.
pub async fn not_delivered(tx: &Tx, due: &Due, error: &str, last: bool) -> Result<()> {
    let mut update = of(due)
        .col_expr(Column::LastError, Expr::value(error))
        .filter(Column::State.eq(DeliveryState::Pending))
        .filter(Column::Attempts.eq(due.attempts + 1));
    if last {
        update = update
            .col_expr(Column::State, Expr::value(DeliveryState::Failed.to_value()))
            .col_expr(Column::NextAttemptAt, Expr::value(Option::<Timestamp>::None));
    }
    update.exec(tx.conn()).await?;
    Ok(())
}

/// Makes a delivery due at once with all its attempts, unless it has arrived.
pub async fn renew(tx: &Tx, found: &Model, now: Timestamp) -> Result<()> {
    Entity::update_many()
        .filter(Column::MerchantId.eq(found.merchant_id))
        .filter(Column::AlertNo.eq(found.alert_no))
        .filter(Column::Channel.eq(found.channel))
        .filter(Column::Recipient.eq(found.recipient.as_str()))
        .filter(Column::State.ne(DeliveryState::Delivered))
        .col_expr(Column::State, Expr::value(DeliveryState::Pending.to_value()))
        .col_expr(Column::Attempts, Expr::value(0))
        .col_expr(Column::NextAttemptAt, Expr::value(now))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// The deliveries of some of a merchant's alerts, in order.
pub async fn of_alerts(
    conn: &impl ConnectionTrait,
    merchant_id: Uuid,
    numbers: impl IntoIterator<Item = i64>,
) -> Result<Vec<Model>> {
    let rows = Entity::find()
        .filter(Column::MerchantId.eq(merchant_id))
        .filter(Column::AlertNo.is_in(numbers))
        .order_by_asc(Column::AlertNo)
        .order_by_asc(Column::Channel)
        .order_by_asc(Column::Recipient);
    Ok(rows.all(conn).await?)
}

fn of(due: &Due) -> sea_orm::UpdateMany<Entity> {
    Entity::update_many()
        .filter(Column::MerchantId.eq(due.merchant_id))
        .filter(Column::AlertNo.eq(due.alert_no))
        .filter(Column::Channel.eq(due.channel))
        .filter(Column::Recipient.eq(due.recipient.as_str()))
}
