//! `expected_files`.

use chrono::NaiveDate;
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use utoipa::IntoParams;

use super::carried::Days;
use crate::error;
use crate::model::{Channel, FileRole};
use crate::store::file::Subject;

/// One expected file; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "expected_files")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub channel: Channel,
    pub account: String,
    pub role: FileRole,
    pub timezone: String,
    pub due_after_days: i32,
    pub due_time: String,
    pub weekdays: i32,
    pub holidays: Json,
    pub counts_from: NaiveDate,
    pub escalate_after_hours: i32,
    pub name_pattern: Option<String>,
    pub sequence_restarts: bool,
    pub next_date: NaiveDate,
    pub created_by: String,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Gaps name their expected file; nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// What the file of a business day is about.
    pub fn subject(&self, date: NaiveDate) -> Subject {
        Subject {
            role: self.role,
            channel: self.channel,
            account: self.account.clone(),
            date,
            timezone: self.timezone.clone(),
            bank_accounts: String::new(),
        }
    }
}

/// Which expected files a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// Only of this role.
    pub role: Option<FileRole>,
}

/// Stores a new expected file. Another one of the same channel, account, role and zone is a unique violation.
pub async fn insert(tx: &Tx, expected: Model) -> Result<Model> {
    Ok(expected.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// The expected file, or 404.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid) -> Result<Model> {
    Entity::find_by_id(id).one(conn).await?.ok_or_else(|| error::expected_file_not_found(id))
}

/// The expected file, locked for the rest of the transaction, or 404.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Locked<Model>> {
    try_lock(tx, id).await?.ok_or_else(|| error::expected_file_not_found(id))
}

/// The expected file, locked for the rest of the transaction, if it still exists.
pub async fn try_lock(tx: &Tx, id: Uuid) -> Result<Option<Locked<Model>>> {
    let expected = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    Ok(expected.map(Locked::assert_locked))
}

/// The one that watches the same days as `wanted`, if there is one.
pub async fn watching_the_same(conn: &impl ConnectionTrait, wanted: &Model) -> Result<Option<Model>> {
    let expected = Entity::find()
        .filter(Column::Channel.eq(wanted.channel))
        .filter(Column::Account.eq(wanted.account.as_str()))
        .filter(Column::Role.eq(wanted.role))
        .filter(Column::Timezone.eq(wanted.timezone.as_str()))
        .one(conn)
        .await?;
    Ok(expected)
}

/// Those of some days, by role.
pub async fn of(conn: &impl ConnectionTrait, days: Days<'_>) -> Result<Vec<Model>> {
    let expected = Entity::find()
        .filter(Column::Channel.eq(days.channel))
        .filter(Column::Account.eq(days.account))
        .filter(Column::Timezone.eq(days.timezone))
        .order_by_asc(Column::Role)
        .all(conn)
        .await?;
    Ok(expected)
}

/// Puts `row` in the place of the locked one and grows its version.
pub async fn replace(tx: &Tx, old: Locked<Model>, row: Model, now: Timestamp) -> Result<Model> {
    let row = Model { version: old.version + 1, updated_at: now, ..row };
    Ok(row.into_active_model().reset_all().update(tx.conn()).await?)
}

/// Notes that every business day before `next_date` was looked at when its file was due.
pub async fn advance(tx: &Tx, expected: &Locked<Model>, next_date: NaiveDate) -> Result<()> {
    let row = ActiveModel {
        id: ActiveValue::Unchanged(expected.id),
        next_date: ActiveValue::Set(next_date),
        ..Default::default()
    };
    row.update(tx.conn()).await?;
    Ok(())
}

/// Removes an expected file, whose gaps have to be gone already.
pub async fn remove(tx: &Tx, expected: Locked<Model>) -> Result<()> {
    expected.into_inner().into_active_model().delete(tx.conn()).await?;
    Ok(())
}

/// A page of expected files, newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Uuid>,
) -> Result<Page<Model>> {
    let all = filtered(filter);
    let mut rows = all.clone().order_by_desc(Column::Id);
    if let Slice::After(id) = request.slice {
        rows = rows.filter(Column::Id.lt(id));
    }
    fetch_page(conn, all, rows, request, |expected| expected.id).await
}

/// All expected files that fit, by channel, account and role.
pub async fn all(conn: &impl ConnectionTrait, filter: &Filter) -> Result<Vec<Model>> {
    let order = [Column::Channel, Column::Account, Column::Role, Column::Timezone];
    let rows = order.into_iter().fold(filtered(filter), QueryOrder::order_by_asc);
    Ok(rows.all(conn).await?)
}

fn filtered(filter: &Filter) -> Select<Entity> {
    Entity::find()
        .apply_if(filter.channel, |rows, channel| rows.filter(Column::Channel.eq(channel)))
        .apply_if(filter.role, |rows, role| rows.filter(Column::Role.eq(role)))
}
