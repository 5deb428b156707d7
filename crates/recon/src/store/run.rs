//! `reconciliation_runs`: what each completed run of a task found. Append-only.

use std::collections::HashMap;

use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder};

/// One completed run; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub task_id: Uuid,
    pub run_no: i64,
    pub verdict: String,
    pub certificate: Json,
    pub records_added: i64,
    pub records_kept: i64,
    pub records_gone: i64,
    pub started_at: Timestamp,
    pub completed_at: Timestamp,
    pub settlement_file_id: Option<Uuid>,
    pub summary_file_id: Option<Uuid>,
    pub platform_file_id: Option<Uuid>,
    pub rule_set_version: Option<i64>,
    pub bank_file_ids: Option<Json>,
    pub payouts_file_id: Option<Uuid>,
    pub payout_rows_file_id: Option<Uuid>,
    pub bank_reversal_file_ids: Option<Json>,
}

impl Model {
    /// The files that the run compared, bank statements apart.
    pub fn files(&self) -> impl Iterator<Item = Uuid> {
        let files = [
            self.settlement_file_id,
            self.summary_file_id,
            self.platform_file_id,
            self.payouts_file_id,
            self.payout_rows_file_id,
        ];
        files.into_iter().flatten()
    }

    /// The bank statements that the run has read, those for what they take back alone last.
    pub fn bank_files(&self) -> Vec<Uuid> {
        [&self.bank_file_ids, &self.bank_reversal_file_ids].into_iter().flatten().flat_map(ids).collect()
    }

    /// Whether it compared payouts with these bank statements, and has read those `elsewhere` for what they take back. A run of an earlier
    /// release does not tell them apart.
    pub fn has_compared(&self, window: &[Uuid], elsewhere: &[Uuid]) -> bool {
        let compared = self.bank_file_ids.as_ref().map(ids).unwrap_or_default();
        match &self.bank_reversal_file_ids {
            Some(reversals) => compared == window && ids(reversals) == elsewhere,
            None => compared == [window, elsewhere].concat(),
        }
    }
}

fn ids(json: &Json) -> Vec<Uuid> {
    serde_json::from_value(json.clone()).unwrap_or_default()
}

/// Runs name their task; nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Adds a run. A second one of the same number is a unique violation.
pub async fn insert(tx: &Tx, run: Model) -> Result<()> {
    run.into_active_model().reset_all().insert(tx.conn()).await?;
    Ok(())
}

/// All runs of a task, the first first.
pub async fn of_task(conn: &impl ConnectionTrait, task_id: Uuid) -> Result<Vec<Model>> {
    Ok(Entity::find().filter(Column::TaskId.eq(task_id)).order_by_asc(Column::RunNo).all(conn).await?)
}

/// The last run of each of these tasks that has one.
pub async fn last_of(conn: &impl ConnectionTrait, tasks: &[Uuid]) -> Result<HashMap<Uuid, Model>> {
    let runs = Entity::find().filter(Column::TaskId.is_in(tasks.iter().copied()));
    let runs = runs.order_by_asc(Column::RunNo).all(conn).await?;
    Ok(runs.into_iter().map(|run| (run.task_id, run)).collect())
}
