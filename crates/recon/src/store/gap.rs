//! `file_gaps`: what was missing of expected files, and what became of it.

use std::ops::RangeInclusive;

use chrono::NaiveDate;
use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect};

use crate::model::{Channel, GapEnd, GapKind};
use crate::store::expected_file;

/// One gap; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "file_gaps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub expected_file_id: Uuid,
    pub settlement_date: NaiveDate,
    pub kind: GapKind,
    pub number: i64,
    pub up_to: i64,
    pub due_at: Timestamp,
    pub opened_at: Timestamp,
    pub escalated_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub closed_as: Option<GapEnd>,
    pub closed_by: Option<String>,
    pub note: Option<String>,
}

/// Gaps name their expected file.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The expected file.
    #[sea_orm(
        belongs_to = "expected_file::Entity",
        from = "Column::ExpectedFileId",
        to = "expected_file::Column::Id"
    )]
    ExpectedFile,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Which fact it is among those of its expected file.
    pub fn fact(&self) -> (NaiveDate, GapKind, i64) {
        (self.settlement_date, self.kind, self.number)
    }
}

/// Stores a new gap. A second open one of the same fact is a unique violation.
pub async fn insert(tx: &Tx, gap: Model) -> Result<Model> {
    Ok(gap.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// Writes what `change` does to a gap.
pub async fn update(tx: &Tx, gap: Model, change: impl FnOnce(&mut ActiveModel)) -> Result<Model> {
    let mut row = gap.into_active_model();
    change(&mut row);
    Ok(row.update(tx.conn()).await?)
}

/// Closes a gap.
pub async fn close(tx: &Tx, gap: Model, as_: GapEnd, now: Timestamp) -> Result<Model> {
    update(tx, gap, |row| {
        row.closed_at = ActiveValue::Set(Some(now));
        row.closed_as = ActiveValue::Set(Some(as_));
    })
    .await
}

/// The gaps of some days of an expected file, open and closed, the first first.
pub async fn of_days(
    conn: &impl ConnectionTrait,
    expected_file_id: Uuid,
    days: RangeInclusive<NaiveDate>,
) -> Result<Vec<Model>> {
    let gaps = Entity::find()
        .filter(Column::ExpectedFileId.eq(expected_file_id))
        .filter(Column::SettlementDate.between(*days.start(), *days.end()))
        .order_by_asc(Column::SettlementDate)
        .order_by_asc(Column::Id)
        .all(conn)
        .await?;
    Ok(gaps)
}

/// The open gaps of an expected file, the first day first.
pub async fn open(conn: &impl ConnectionTrait, expected_file_id: Uuid) -> Result<Vec<Model>> {
    let gaps = Entity::find()
        .filter(Column::ExpectedFileId.eq(expected_file_id))
        .filter(Column::ClosedAt.is_null())
        .order_by_asc(Column::SettlementDate)
        .order_by_asc(Column::Id)
        .all(conn)
        .await?;
    Ok(gaps)
}

/// Removes the gaps of an expected file; returns how many.
pub async fn remove_all(tx: &Tx, expected_file_id: Uuid) -> Result<u64> {
    let gone = Entity::delete_many().filter(Column::ExpectedFileId.eq(expected_file_id)).exec(tx.conn());
    Ok(gone.await?.rows_affected)
}

/// How many gaps a channel has open, and since when the oldest.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct OpenGaps {
    /// The channel.
    pub channel: Channel,
    /// How many.
    pub count: i64,
    /// When the oldest was due.
    pub oldest: Timestamp,
}

/// What is open, by channel; a channel without gaps is not among it.
pub async fn open_by_channel(conn: &impl ConnectionTrait) -> Result<Vec<OpenGaps>> {
    let rows = Entity::find()
        .select_only()
        .column(expected_file::Column::Channel)
        .column_as(Column::Id.count(), "count")
        .column_as(Column::DueAt.min(), "oldest")
        .join(sea_orm::JoinType::InnerJoin, Relation::ExpectedFile.def())
        .filter(Column::ClosedAt.is_null())
        .group_by(expected_file::Column::Channel)
        .into_model::<OpenGaps>()
        .all(conn)
        .await?;
    Ok(rows)
}
