//! `bank_reversals`: what bank statements may take back of others.

use std::ops::RangeInclusive;

use chrono::NaiveDate;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait;

use super::bulk;
use super::file::{self, Subject};
use crate::payouts::Trace;

/// How many keys one statement carries.
const KEYS_AT_ONCE: usize = 1_000;

/// One reversal, or money that left, by one of its references; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bank_reversals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub file_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub place: i64,
    pub reference: i64,
    pub amount: i64,
    pub currency: String,
    pub booked_on: NaiveDate,
    pub is_reversal: bool,
}

/// Reversals name their file; nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn new(file_id: Uuid, place: i64, trace: &Trace) -> Self {
        Self {
            file_id,
            place,
            reference: trace.reference,
            amount: trace.amount,
            currency: trace.currency.to_string(),
            booked_on: trace.booked_on,
            is_reversal: trace.is_reversal,
        }
    }

    /// By what it is known.
    pub fn trace(&self) -> Result<Trace> {
        let broken = |why: String| Error::impossible_row("bank_reversals", "currency", self.file_id, why);
        Ok(Trace {
            reference: self.reference,
            amount: self.amount,
            currency: self.currency.parse().map_err(|error| broken(format!("{error}")))?,
            booked_on: self.booked_on,
            is_reversal: self.is_reversal,
        })
    }
}

/// Notes what a file may take back, in the place of what was noted before.
pub async fn replace(tx: &Tx, file_id: Uuid, traces: &[Trace]) -> Result<()> {
    Entity::delete_many().filter(Column::FileId.eq(file_id)).exec(tx.conn()).await?;
    let rows = (0..).zip(traces).map(|(place, trace)| Model::new(file_id, place, trace));
    let rows: Vec<Model> = rows.collect();
    bulk::insert(tx, rows.into_iter().map(|row| row.into_active_model().reset_all())).await
}

/// What these files may take back.
pub async fn of_files(conn: &impl ConnectionTrait, files: &[Uuid]) -> Result<Vec<Model>> {
    Ok(Entity::find().filter(Column::FileId.is_in(files.iter().copied())).all(conn).await?)
}

/// Of the files in force of the role, channel, account and zone of `like`: what has a reference of these deposits, and what
/// the bank calls a reversal and has the opposite amount of one.
pub async fn alike(conn: &impl ConnectionTrait, like: &Subject, deposits: &[Trace]) -> Result<Vec<Model>> {
    let mut found = Vec::new();
    for batch in deposits.chunks(KEYS_AT_ONCE) {
        let references = batch.iter().map(|deposit| deposit.reference).filter(|reference| *reference != 0);
        let opposite = batch.iter().filter_map(|deposit| deposit.amount.checked_neg());
        for key in [
            Column::Reference.is_in(references),
            Column::Amount.is_in(opposite).and(Column::IsReversal.eq(true)),
        ] {
            let rows = Entity::find().filter(key).filter(Column::FileId.in_subquery(file::in_force(like)));
            found.extend(rows.all(conn).await?);
        }
    }
    Ok(found)
}

/// What banks call reversals in the files in force of the role, channel, account and zone of `like`, booked on one of these days.
pub async fn marked(
    conn: &impl ConnectionTrait,
    like: &Subject,
    days: RangeInclusive<NaiveDate>,
) -> Result<Vec<Model>> {
    let rows = Entity::find()
        .filter(Column::IsReversal.eq(true))
        .filter(Column::BookedOn.between(*days.start(), *days.end()))
        .filter(Column::FileId.in_subquery(file::in_force(like)));
    Ok(rows.all(conn).await?)
}
