//! `reconciliation_found`: what a run that is being written down has found again.

use chrono::NaiveDate;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;

use super::bulk;

/// A record's place in the output of the new run; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_found")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub record_id: Uuid,
    pub ordinal: i64,
    pub platform_line: Option<i64>,
    pub channel_line: Option<i64>,
    pub payout_id: Option<String>,
    pub merchant_id: Option<String>,
    pub occurred_at: Option<String>,
    pub first_date: Option<NaiveDate>,
    pub carried_from: Option<Uuid>,
    pub candidate_count: Option<i64>,
    pub candidates: Option<String>,
}

/// They name their task and their record; nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Notes what was found again.
pub async fn insert_all(tx: &Tx, found: Vec<Model>) -> Result<()> {
    bulk::insert(tx, found.into_iter().map(|found| found.into_active_model().reset_all())).await
}

/// Forgets what was noted for a task.
pub async fn remove(tx: &Tx, task_id: Uuid) -> Result<()> {
    Entity::delete_many().filter(Column::TaskId.eq(task_id)).exec(tx.conn()).await?;
    Ok(())
}
