//! `limit_seals` and `limit_checkpoints`, and the usage log as it is sealed: every column as it stands in the table.

use payops_core::time::Timestamp;
use payops_platform::db::{Backend, Tx};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, QueryOrder, QuerySelect};

/// Seals that were added with the rows they cover; the columns are explained in the migration.
pub(crate) mod seals {
    use payops_core::time::Timestamp;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "limit_seals")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub merchant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub from_seq: i64,
        pub through_seq: i64,
        pub hash: Vec<u8>,
        pub marks: Vec<u8>,
        pub checkpoint: i64,
        pub key_id: String,
        pub signature: Vec<u8>,
        pub sealed_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Checkpoints over all merchants; the columns are explained in the migration.
pub(crate) mod checkpoints {
    use payops_core::time::Timestamp;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "limit_checkpoints")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        pub seals: i64,
        pub hash: Vec<u8>,
        pub key_id: String,
        pub signature: Vec<u8>,
        pub created_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A row of the usage log, in the table's own words, whatever they are.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub(crate) struct LogRecord {
    pub(crate) merchant_id: Uuid,
    pub(crate) seq: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) action_type: String,
    pub(crate) payment_no: Option<String>,
    pub(crate) order_no: Option<String>,
    pub(crate) release_no: Option<String>,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) counted_amount: i64,
    pub(crate) daily_used_before: i64,
    pub(crate) daily_used_after: i64,
    pub(crate) monthly_used_before: i64,
    pub(crate) monthly_used_after: i64,
    pub(crate) pending_before: i64,
    pub(crate) pending_after: i64,
    pub(crate) daily_delta: i64,
    pub(crate) monthly_delta: i64,
    pub(crate) pending_delta: i64,
    pub(crate) success: bool,
    pub(crate) failure_reason: Option<String>,
}

/// The next rows of a merchant's log from `from` to `through`, `most` of them at most.
pub(crate) async fn log(
    conn: &impl ConnectionTrait,
    backend: Backend,
    merchant_id: Uuid,
    (from, through): (i64, i64),
    most: u64,
) -> Result<Vec<LogRecord>> {
    const ROWS: &str = "SELECT merchant_id, seq, created_at, action_type, payment_no, order_no, release_no, amount, \
         currency, counted_amount, daily_used_before, daily_used_after, monthly_used_before, monthly_used_after, \
         pending_before, pending_after, daily_delta, monthly_delta, pending_delta, success, failure_reason \
         FROM limit_usage_logs WHERE merchant_id = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq LIMIT $4";
    let values = [merchant_id.into(), from.into(), through.into(), most.into()];
    Ok(LogRecord::find_by_statement(backend.statement(ROWS, values)).all(conn).await?)
}

/// A merchant whose last rows are not sealed.
#[derive(Debug, Clone, Copy, FromQueryResult)]
pub(crate) struct Unsealed {
    pub(crate) merchant_id: Uuid,
    /// The last row of its log.
    pub(crate) seq: i64,
}

/// The next merchants after `after` whose last rows are not sealed.
pub(crate) async fn unsealed(
    conn: &impl ConnectionTrait,
    backend: Backend,
    after: Uuid,
    most: u64,
) -> Result<Vec<Unsealed>> {
    const UNSEALED: &str = "SELECT merchant_id, seq FROM (SELECT m.merchant_id, m.seq, \
         COALESCE((SELECT s.through_seq FROM limit_seals s WHERE s.merchant_id = m.merchant_id \
          ORDER BY s.from_seq DESC LIMIT 1), 0) AS sealed \
         FROM merchant_limits m WHERE m.merchant_id > $1 AND m.seq > 0) AS progress \
         WHERE seq > sealed ORDER BY merchant_id LIMIT $2";
    let values = [after.into(), most.into()];
    Ok(Unsealed::find_by_statement(backend.statement(UNSEALED, values)).all(conn).await?)
}

/// A merchant's last seal.
pub(crate) async fn last(conn: &impl ConnectionTrait, merchant_id: Uuid) -> Result<Option<seals::Model>> {
    let seals = seals::Entity::find().filter(seals::Column::MerchantId.eq(merchant_id));
    Ok(seals.order_by_desc(seals::Column::FromSeq).one(conn).await?)
}

/// The next of a merchant's seals after the one that begins at `after`.
pub(crate) async fn of_merchant(
    conn: &impl ConnectionTrait,
    merchant_id: Uuid,
    after: i64,
    most: u64,
) -> Result<Vec<seals::Model>> {
    let seals = seals::Entity::find()
        .filter(seals::Column::MerchantId.eq(merchant_id))
        .filter(seals::Column::FromSeq.gt(after));
    Ok(seals.order_by_asc(seals::Column::FromSeq).limit(most).all(conn).await?)
}

/// The seals that a checkpoint counts, in the order in which they are hashed. One transaction's, so they are few.
pub(crate) async fn of_checkpoint(conn: &impl ConnectionTrait, number: i64) -> Result<Vec<seals::Model>> {
    let seals = seals::Entity::find().filter(seals::Column::Checkpoint.eq(number));
    let seals = seals.order_by_asc(seals::Column::MerchantId).order_by_asc(seals::Column::FromSeq);
    Ok(seals.all(conn).await?)
}

/// The newest checkpoint.
pub(crate) async fn last_checkpoint(conn: &impl ConnectionTrait) -> Result<Option<checkpoints::Model>> {
    let all = checkpoints::Entity::find();
    Ok(all.order_by_desc(checkpoints::Column::Number).one(conn).await?)
}

/// The next checkpoints after number `after`.
pub(crate) async fn checkpoints_after(
    conn: &impl ConnectionTrait,
    after: i64,
    most: u64,
) -> Result<Vec<checkpoints::Model>> {
    let next = checkpoints::Entity::find().filter(checkpoints::Column::Number.gt(after));
    Ok(next.order_by_asc(checkpoints::Column::Number).limit(most).all(conn).await?)
}

/// Seals that belong to nothing: whose checkpoint or whose merchant is gone.
pub(crate) async fn orphans(
    conn: &impl ConnectionTrait,
    backend: Backend,
    most: u64,
) -> Result<Vec<(Uuid, i64)>> {
    const ORPHANS: &str = "SELECT s.merchant_id, s.from_seq FROM limit_seals s WHERE \
         NOT EXISTS (SELECT 1 FROM limit_checkpoints c WHERE c.number = s.checkpoint) \
         OR NOT EXISTS (SELECT 1 FROM merchant_limits m WHERE m.merchant_id = s.merchant_id) \
         ORDER BY s.merchant_id, s.from_seq LIMIT $1";
    let rows = conn.query_all_raw(backend.statement(ORPHANS, [most.into()])).await?;
    rows.iter().map(|row| Ok((row.try_get("", "merchant_id")?, row.try_get("", "from_seq")?))).collect()
}

/// Adds a checkpoint and the seals that it counts. A unique violation says that somebody else was faster.
pub(crate) async fn add(tx: &Tx, checkpoint: checkpoints::Model, seals: Vec<seals::Model>) -> Result<()> {
    let seals = seals.into_iter().map(|seal| seals::ActiveModel::from(seal).reset_all());
    seals::Entity::insert_many(seals).exec_without_returning(tx).await?;
    let checkpoint = checkpoints::ActiveModel::from(checkpoint).reset_all();
    checkpoints::Entity::insert(checkpoint).exec_without_returning(tx).await?;
    Ok(())
}
