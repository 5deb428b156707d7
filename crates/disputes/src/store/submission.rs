//! `submissions` and `submission_files`: answers and concessions, and how far they have come.

use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{NullOrdering, StringLen};
use sea_orm::{ActiveValue, IntoActiveModel, Order, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::lifecycle::Phase;

/// What is sent.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The evidence.
    Answer,
    /// That we concede.
    Concession,
}

/// How far a submission has come.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum SubmissionState {
    /// It waits for its time and can be called off; nothing irrevocable was done.
    Held,
    /// The call that cannot be taken back may have been made.
    Sending,
    /// The channel took it.
    Sent,
    /// The channel would not take it.
    Refused,
    /// The deadline came first; nothing was sent.
    Expired,
    /// It was called off, or the dispute no longer waited for it.
    Withdrawn,
}

impl SubmissionState {
    /// Whether something is still to happen.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Held | Self::Sending)
    }
}

/// One submission; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "submissions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub dispute_id: Uuid,
    pub number: i32,
    pub kind: Kind,
    pub phase: Phase,
    pub state: SubmissionState,
    pub until_deadline: bool,
    pub submit_at: Timestamp,
    pub due_by: Option<Timestamp>,
    pub next_at: Timestamp,
    pub seal_no: i32,
    pub sealed_from: Option<String>,
    /// Sealed; see [`crate::ops::packet::Manifest`].
    pub packet: Option<Vec<u8>>,
    pub packet_sha256: Option<String>,
    pub staged_at: Option<Timestamp>,
    pub count_before: i32,
    pub idempotency_key: Option<String>,
    pub key_no: i32,
    pub key_at: Option<Timestamp>,
    pub key_failures: i32,
    pub tries: i32,
    pub delays: i32,
    pub sent_at: Option<Timestamp>,
    pub outcome: Option<String>,
    /// Sealed; see [`crate::ops::submission::channel_words`].
    pub channel_words: Option<Vec<u8>>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The files of a submission.
pub mod file {
    use sea_orm::entity::prelude::*;

    /// One file; the columns are explained in the migration.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "submission_files")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub submission_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub field: String,
        pub sha256: String,
        pub idempotency_key: String,
        pub channel_file_id: Option<String>,
    }

    /// Nothing is joined.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const OPEN: [SubmissionState; 2] = [SubmissionState::Held, SubmissionState::Sending];

/// Stores a new submission. A second open one of a dispute is a unique violation.
pub async fn insert(tx: &Tx, submission: Model) -> Result<Model> {
    Ok(submission.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// The submission, if it is there.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id).one(conn).await?)
}

/// The submission, locked for the rest of the transaction, if it is there.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Option<Locked<Model>>> {
    Ok(Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?.map(Locked::assert_locked))
}

/// The one of a dispute that something is still to happen to, locked.
pub async fn lock_open(tx: &Tx, dispute_id: Uuid) -> Result<Option<Locked<Model>>> {
    Ok(open(dispute_id).lock_exclusive().one(tx.conn()).await?.map(Locked::assert_locked))
}

/// The one of a dispute that something is still to happen to, if there is one.
pub async fn find_open(conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<Option<Model>> {
    Ok(open(dispute_id).one(conn).await?)
}

fn open(dispute_id: Uuid) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::DisputeId.eq(dispute_id)).filter(Column::State.is_in(OPEN))
}

/// Writes a locked submission as `changed` says.
pub async fn update(tx: &Tx, before: &Locked<Model>, changed: Model, now: Timestamp) -> Result<Model> {
    let mut row = changed.into_active_model().reset_all();
    row.id = ActiveValue::Unchanged(before.id);
    row.updated_at = ActiveValue::Set(now);
    Ok(row.update(tx.conn()).await?)
}

/// Those of a dispute, the last first.
pub async fn of_dispute(conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<Vec<Model>> {
    let found = Entity::find().filter(Column::DisputeId.eq(dispute_id)).order_by_desc(Column::Number);
    Ok(found.all(conn).await?)
}

/// Those about which something is to be done now, in the order of their deadlines.
pub async fn due(conn: &impl ConnectionTrait, now: Timestamp, most: u64) -> Result<Vec<Model>> {
    let due = Entity::find()
        .filter(Column::State.is_in(OPEN))
        .filter(Column::NextAt.lte(now))
        .order_by_with_nulls(Column::DueBy, Order::Asc, NullOrdering::Last)
        .order_by_asc(Column::SubmitAt)
        .order_by_asc(Column::Id)
        .limit(most);
    Ok(due.all(conn).await?)
}

/// When there is something to do next; `None` when nothing is open.
pub async fn next_at(conn: &impl ConnectionTrait) -> Result<Option<Timestamp>> {
    let first = Entity::find()
        .select_only()
        .column(Column::NextAt)
        .filter(Column::State.is_in(OPEN))
        .order_by_asc(Column::NextAt)
        .limit(1);
    Ok(first.into_tuple().one(conn).await?)
}

/// The files of a submission.
pub async fn files(conn: &impl ConnectionTrait, id: Uuid) -> Result<Vec<file::Model>> {
    let found = file::Entity::find().filter(file::Column::SubmissionId.eq(id));
    Ok(found.order_by_asc(file::Column::Field).all(conn).await?)
}

/// Gives a submission other files.
pub async fn replace_files(tx: &Tx, id: Uuid, files: &[file::Model]) -> Result<()> {
    file::Entity::delete_many().filter(file::Column::SubmissionId.eq(id)).exec(tx.conn()).await?;
    if !files.is_empty() {
        let rows = files.iter().map(|row| row.clone().into_active_model().reset_all());
        file::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// Writes one file's key and id.
pub async fn update_file(tx: &Tx, file: &file::Model) -> Result<()> {
    let mut row = file.clone().into_active_model().reset_all();
    row.submission_id = ActiveValue::Unchanged(file.submission_id);
    row.field = ActiveValue::Unchanged(file.field.clone());
    row.update(tx.conn()).await?;
    Ok(())
}
