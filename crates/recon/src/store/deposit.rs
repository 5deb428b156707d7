//! `reconciliation_deposits`: what the outcome of tasks rests on at the bank.

use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder};

use super::bulk;
use super::file::Subject;
use super::task;
use crate::payouts::Trace;

/// How many keys one statement carries.
const KEYS_AT_ONCE: usize = 1_000;

/// One deposit by one of its references; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_deposits")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub place: i64,
    pub reference: i64,
    pub amount: i64,
    pub currency: String,
    pub booked_on: Date,
}

/// Deposits name their task; nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn new(task_id: Uuid, place: i64, trace: &Trace) -> Self {
        Self {
            task_id,
            place,
            reference: trace.reference,
            amount: trace.amount,
            currency: trace.currency.to_string(),
            booked_on: trace.booked_on,
        }
    }

    /// By what it is known.
    pub fn trace(&self) -> Result<Trace> {
        let broken =
            |why: String| Error::impossible_row("reconciliation_deposits", "currency", self.task_id, why);
        Ok(Trace {
            reference: self.reference,
            amount: self.amount,
            currency: self.currency.parse().map_err(|error| broken(format!("{error}")))?,
            booked_on: self.booked_on,
            is_reversal: false,
        })
    }
}

/// Puts these in the place of what a task rested on before.
pub async fn replace(tx: &Tx, task_id: Uuid, traces: &[Trace]) -> Result<()> {
    Entity::delete_many().filter(Column::TaskId.eq(task_id)).exec(tx.conn()).await?;
    let rows = (0..).zip(traces).map(|(place, trace)| Model::new(task_id, place, trace));
    let rows: Vec<Model> = rows.collect();
    bulk::insert(tx, rows.into_iter().map(|row| row.into_active_model().reset_all())).await
}

/// What a task rests on.
pub async fn of_task(conn: &impl ConnectionTrait, task_id: Uuid) -> Result<Vec<Trace>> {
    let rows =
        Entity::find().filter(Column::TaskId.eq(task_id)).order_by_asc(Column::Place).all(conn).await?;
    rows.iter().map(Model::trace).collect()
}

/// What tasks of the channel, account and zone of `like` rest on: what has a reference of these reversals, or the opposite amount of
/// one that the bank calls so.
pub async fn alike(conn: &impl ConnectionTrait, like: &Subject, reversals: &[Trace]) -> Result<Vec<Model>> {
    let mut found = Vec::new();
    for batch in reversals.chunks(KEYS_AT_ONCE) {
        let references = batch.iter().map(|reversal| reversal.reference).filter(|reference| *reference != 0);
        let marked = batch.iter().filter(|reversal| reversal.is_reversal);
        let opposite = marked.filter_map(|reversal| reversal.amount.checked_neg());
        for key in [Column::Reference.is_in(references), Column::Amount.is_in(opposite)] {
            let rows = Entity::find().filter(key).filter(Column::TaskId.in_subquery(task::of_account(like)));
            found.extend(rows.all(conn).await?);
        }
    }
    Ok(found)
}
