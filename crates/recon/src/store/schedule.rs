//! `reconciliation_schedules`.

use chrono::NaiveDate;
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error;
use crate::model::{Channel, TaskType};

/// One schedule; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_schedules")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub channel: Channel,
    pub account: String,
    pub task_type: TaskType,
    pub timezone: String,
    pub cron: String,
    pub store_matched: bool,
    pub enabled: bool,
    pub next_date: NaiveDate,
    pub created_by: String,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Schedules stand alone.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which schedules a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// Only those that are switched on, or off.
    pub enabled: Option<bool>,
}

/// Stores a new schedule. Another one of the same channel, account, zone and type is a unique violation.
pub async fn insert(tx: &Tx, schedule: Model) -> Result<Model> {
    Ok(schedule.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// The schedule, or 404.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid) -> Result<Model> {
    Entity::find_by_id(id).one(conn).await?.ok_or_else(|| error::schedule_not_found(id))
}

/// The schedule, locked for the rest of the transaction, or 404.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Locked<Model>> {
    try_lock(tx, id).await?.ok_or_else(|| error::schedule_not_found(id))
}

/// The schedule, locked for the rest of the transaction, if it still exists.
pub async fn try_lock(tx: &Tx, id: Uuid) -> Result<Option<Locked<Model>>> {
    let schedule = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    Ok(schedule.map(Locked::assert_locked))
}

/// The schedule that makes the same tasks as `wanted`, if there is one besides it.
pub async fn making_the_same(conn: &impl ConnectionTrait, wanted: &Model) -> Result<Option<Model>> {
    let schedule = Entity::find()
        .filter(Column::Channel.eq(wanted.channel))
        .filter(Column::Account.eq(wanted.account.as_str()))
        .filter(Column::Timezone.eq(wanted.timezone.as_str()))
        .filter(Column::TaskType.eq(wanted.task_type))
        .filter(Column::Id.ne(wanted.id))
        .one(conn)
        .await?;
    Ok(schedule)
}

/// Puts `row` in the place of the locked one and grows its version.
pub async fn replace(tx: &Tx, old: Locked<Model>, row: Model, now: Timestamp) -> Result<Model> {
    let row = Model { version: old.version + 1, updated_at: now, ..row };
    Ok(row.into_active_model().reset_all().update(tx.conn()).await?)
}

/// Notes that every business day before `next_date` is taken care of.
pub async fn advance(tx: &Tx, schedule: Locked<Model>, next_date: NaiveDate) -> Result<Model> {
    let mut row = schedule.into_inner().into_active_model();
    row.next_date = ActiveValue::Set(next_date);
    Ok(row.update(tx.conn()).await?)
}

/// Removes a schedule.
pub async fn remove(tx: &Tx, schedule: Locked<Model>) -> Result<()> {
    schedule.into_inner().into_active_model().delete(tx.conn()).await?;
    Ok(())
}

/// A page of schedules, newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Uuid>,
) -> Result<Page<Model>> {
    let all = Entity::find()
        .apply_if(filter.channel, |rows, channel| rows.filter(Column::Channel.eq(channel)))
        .apply_if(filter.enabled, |rows, enabled| rows.filter(Column::Enabled.eq(enabled)));
    let mut rows = all.clone().order_by_desc(Column::Id);
    if let Slice::After(id) = request.slice {
        rows = rows.filter(Column::Id.lt(id));
    }
    fetch_page(conn, all, rows, request, |schedule| schedule.id).await
}
