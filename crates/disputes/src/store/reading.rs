//! `channel_readings`: how far the reading of a channel's dispute has come.

use std::collections::BTreeMap;

use payops_platform::db::{Backend, Tx};
use payops_platform::error::{Error, Result};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ActiveEnum, ActiveValue, FromQueryResult, IntoActiveModel, QuerySelect, QueryTrait};

use crate::model::Channel;

/// One dispute's readings; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_readings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel: Channel,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_dispute_id: String,
    pub wanted: i64,
    pub begun: i64,
    pub done: i64,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The row, made when it is missing, and locked for the rest of the transaction.
pub async fn lock(tx: &Tx, channel: Channel, channel_dispute_id: &str) -> Result<Model> {
    let none =
        Model { channel, channel_dispute_id: channel_dispute_id.to_owned(), wanted: 0, begun: 0, done: 0 };
    let unless_there =
        OnConflict::columns([Column::Channel, Column::ChannelDisputeId]).do_nothing().to_owned();
    let row = none.into_active_model().reset_all();
    Entity::insert(row).on_conflict(unless_there).exec_without_returning(tx.conn()).await?;
    let key = (channel, channel_dispute_id.to_owned());
    let found = Entity::find_by_id(key).lock_exclusive().one(tx.conn()).await?;
    found.ok_or_else(|| Error::internal("a reading that was just made is gone"))
}

/// Adds reasons to read some of a channel's disputes, each so many; gives the rows as they are now.
pub async fn want(tx: &Tx, channel: Channel, reasons: &BTreeMap<&str, i64>) -> Result<Vec<Model>> {
    // In the order of the ids: of two that want the same, neither waits for the other.
    let rows = reasons.iter().map(|(id, count)| {
        let row = Model { channel, channel_dispute_id: (*id).to_owned(), wanted: *count, begun: 0, done: 0 };
        row.into_active_model().reset_all()
    });
    let more = Expr::cust("channel_readings.wanted + excluded.wanted");
    let add = OnConflict::columns([Column::Channel, Column::ChannelDisputeId])
        .value(Column::Wanted, more)
        .to_owned();
    let mut insert = Entity::insert_many(rows).on_conflict(add).into_query();
    let now = tx.conn().query_all(insert.returning_all()).await?;
    Ok(now.iter().map(|row| Model::from_query_result(row, "")).collect::<Result<_, DbErr>>()?)
}

/// Whether a channel has news of a dispute that nothing is known of yet.
pub async fn news_of_unknown(
    conn: &impl ConnectionTrait,
    backend: Backend,
    channel: Channel,
) -> Result<bool> {
    let sql = "SELECT r.channel_dispute_id FROM channel_readings r WHERE r.channel = $1 AND r.done < r.wanted \
         AND NOT EXISTS (SELECT 1 FROM disputes d WHERE d.channel = r.channel \
         AND d.channel_dispute_id = r.channel_dispute_id) LIMIT 1";
    Ok(conn.query_one_raw(backend.statement(sql, [channel.to_value().into()])).await?.is_some())
}

/// Those of some disputes of which the channel has news that is not read yet.
pub async fn with_news(
    conn: &impl ConnectionTrait,
    channel: Channel,
    channel_ids: &[&str],
) -> Result<Vec<String>> {
    let waiting = Entity::find()
        .select_only()
        .column(Column::ChannelDisputeId)
        .filter(Column::Channel.eq(channel))
        .filter(Column::ChannelDisputeId.is_in(channel_ids.iter().copied()))
        .filter(ExprTrait::lt(Expr::col(Column::Done), Expr::col(Column::Wanted)));
    Ok(waiting.into_tuple().all(conn).await?)
}

/// Writes a locked row.
pub async fn update(tx: &Tx, reading: &Model) -> Result<()> {
    let mut row = reading.clone().into_active_model().reset_all();
    row.channel = ActiveValue::Unchanged(reading.channel);
    row.channel_dispute_id = ActiveValue::Unchanged(reading.channel_dispute_id.clone());
    row.update(tx.conn()).await?;
    Ok(())
}
