//! `back_tests`, their tasks, and the changes that were found.

use chrono::NaiveDate;
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error;
use crate::model::{BackTestStatus, Channel};

/// One back-test; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "back_tests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub rule_set_version: i64,
    pub baseline_version: Option<i64>,
    pub channel: Option<Channel>,
    pub account: Option<String>,
    pub first_date: Option<NaiveDate>,
    pub last_date: Option<NaiveDate>,
    pub status: BackTestStatus,
    pub tasks_total: i64,
    pub tasks_done: i64,
    pub tasks_failed: i64,
    pub tasks_left_out: i64,
    pub comparison: String,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub traceparent: Option<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub removed_at: Option<Timestamp>,
}

/// Back-tests stand alone; their tasks name them.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which back-tests a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this version of the rules.
    pub rule_set_version: Option<i64>,
    /// Only in this state.
    pub status: Option<BackTestStatus>,
}

/// Stores a new back-test.
pub async fn insert(tx: &Tx, test: Model) -> Result<Model> {
    Ok(test.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// Those that nobody has removed.
fn shown() -> Select<Entity> {
    Entity::find().filter(Column::RemovedAt.is_null())
}

/// The back-test, or 404.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid) -> Result<Model> {
    shown().filter(Column::Id.eq(id)).one(conn).await?.ok_or_else(|| error::back_test_not_found(id))
}

/// The back-test, locked for the rest of the transaction, or 404.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Locked<Model>> {
    let test = shown().filter(Column::Id.eq(id)).lock_exclusive().one(tx.conn()).await?;
    test.map(Locked::assert_locked).ok_or_else(|| error::back_test_not_found(id))
}

/// The back-test, locked, as long as it is to be worked on; `None` when it is over, or removed.
pub async fn lock_unfinished(tx: &Tx, id: Uuid) -> Result<Option<Locked<Model>>> {
    let test = shown().filter(Column::Id.eq(id)).lock_exclusive().one(tx.conn()).await?;
    Ok(test.filter(|test| !test.status.is_over()).map(Locked::assert_locked))
}

/// Whether it is still to be worked on.
pub async fn is_unfinished(conn: &impl ConnectionTrait, id: Uuid) -> Result<bool> {
    let test = shown().filter(Column::Id.eq(id)).one(conn).await?;
    Ok(test.is_some_and(|test| !test.status.is_over()))
}

/// Removes one task of a back-test that is not shown any more, with its changes, and after the last one the back-test
/// itself. False when nothing is left.
pub async fn remove_a_task(tx: &Tx, id: Uuid) -> Result<bool> {
    let test = Entity::find_by_id(id).filter(Column::RemovedAt.is_not_null()).lock_exclusive();
    let Some(test) = test.one(tx.conn()).await? else { return Ok(false) };
    let of_test = task::Entity::find().filter(task::Column::BackTestId.eq(id));
    let Some(task) = of_test.order_by_asc(task::Column::Position).one(tx.conn()).await? else {
        test.delete(tx.conn()).await?;
        return Ok(false);
    };
    change::Entity::delete_many()
        .filter(change::Column::BackTestId.eq(id))
        .filter(change::Column::Position.eq(task.position))
        .exec(tx.conn())
        .await?;
    task.delete(tx.conn()).await?;
    Ok(true)
}

/// Writes what `change` does to a locked back-test.
pub async fn update(
    tx: &Tx,
    test: Locked<Model>,
    now: Timestamp,
    change: impl FnOnce(&mut Model),
) -> Result<Model> {
    let mut row = test.into_inner();
    change(&mut row);
    row.updated_at = now;
    Ok(row.into_active_model().reset_all().update(tx.conn()).await?)
}

/// A page of back-tests, newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Uuid>,
) -> Result<Page<Model>> {
    let all = shown()
        .apply_if(filter.rule_set_version, |rows, version| rows.filter(Column::RuleSetVersion.eq(version)))
        .apply_if(filter.status, |rows, status| rows.filter(Column::Status.eq(status)));
    let mut rows = all.clone().order_by_desc(Column::Id);
    if let Slice::After(id) = request.slice {
        rows = rows.filter(Column::Id.lt(id));
    }
    fetch_page(conn, all, rows, request, |test| test.id).await
}

/// The tasks of a back-test.
pub mod task {
    use chrono::NaiveDate;
    use payops_core::page::{Page, PageRequest, Slice};
    use payops_core::time::Timestamp;
    use payops_platform::db::{Tx, fetch_page};
    use payops_platform::error::Result;
    use sea_orm::entity::prelude::*;
    use sea_orm::{IntoActiveModel, QueryOrder};

    use crate::model::{BackTestTaskStatus, Channel};
    use crate::store::bulk;

    /// One task; the columns are explained in the migration.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "back_test_tasks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub back_test_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub position: i64,
        pub task_id: Uuid,
        pub task_no: String,
        pub task_date: NaiveDate,
        pub channel: Channel,
        pub account: String,
        pub run_no: i64,
        pub baseline_version: Option<i64>,
        pub settlement_file_id: Uuid,
        pub platform_file_id: Uuid,
        pub status: BackTestTaskStatus,
        pub error_code: Option<String>,
        pub error_message: Option<String>,
        pub comparison: String,
        pub change_count: i64,
        pub stored_count: i64,
        pub completed_at: Option<Timestamp>,
    }

    /// They name their back-test and their task; nothing is joined.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    /// Stores the tasks of a new back-test.
    pub async fn insert_all(tx: &Tx, tasks: Vec<Model>) -> Result<()> {
        bulk::insert(tx, tasks.into_iter().map(|task| task.into_active_model().reset_all())).await
    }

    /// The first task that is still to be compared.
    pub async fn next(conn: &impl ConnectionTrait, back_test_id: Uuid) -> Result<Option<Model>> {
        let pending = Entity::find()
            .filter(Column::BackTestId.eq(back_test_id))
            .filter(Column::Status.eq(BackTestTaskStatus::Pending));
        Ok(pending.order_by_asc(Column::Position).one(conn).await?)
    }

    /// Writes what became of a task. Its back-test is locked, and with it all its tasks.
    pub async fn settle(tx: &Tx, task: Model) -> Result<()> {
        task.into_active_model().reset_all().update(tx.conn()).await?;
        Ok(())
    }

    /// A page of a back-test's tasks, in the order in which they are compared.
    pub async fn list(
        conn: &impl ConnectionTrait,
        back_test_id: Uuid,
        request: &PageRequest<i64>,
    ) -> Result<Page<Model>> {
        let all = Entity::find().filter(Column::BackTestId.eq(back_test_id));
        let mut rows = all.clone().order_by_asc(Column::Position);
        if let Slice::After(position) = request.slice {
            rows = rows.filter(Column::Position.gt(position));
        }
        fetch_page(conn, all, rows, request, |task| task.position).await
    }
}

/// What would be told otherwise.
pub mod change {
    use payops_core::page::{Page, PageRequest, Slice};
    use payops_platform::db::{Tx, fetch_page};
    use payops_platform::error::{Error, Result};
    use sea_orm::entity::prelude::*;
    use sea_orm::sea_query::Cond;
    use sea_orm::{IntoActiveModel, QueryOrder, QueryTrait};
    use serde::{Deserialize, Serialize};
    use utoipa::{IntoParams, ToSchema};

    use crate::store::bulk;

    /// One change; the columns are explained in the migration.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "back_test_changes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub back_test_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub position: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub ordinal: i64,
        pub task_id: Uuid,
        pub kind: String,
        pub told_before: String,
        pub told_after: String,
    }

    impl Model {
        /// What the baseline makes of the rows, and what the version that is tried does.
        pub fn told(&self) -> Result<[ToldRows; 2]> {
            let read = |column, text: &str| {
                serde_json::from_str(text).map_err(|error| {
                    Error::impossible_row("back_test_changes", column, self.back_test_id, error.to_string())
                })
            };
            Ok([read("told_before", &self.told_before)?, read("told_after", &self.told_after)?])
        }
    }

    /// What one set of rules makes of the rows of a change.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    pub struct ToldRows {
        /// How our row comes out, or the channel's where that is alone; absent where it is neither match nor difference:
        /// `not_expected`, or another day's business.
        pub diff_type: Option<String>,
        /// The rule that allows the gap of a `within_tolerance` pair.
        pub rule: Option<String>,
        /// What is booked for it: the channel's amount less ours, in minor units of `platform.currency`.
        pub adjustment: Option<i64>,
        /// How many rows of the other side an `ambiguous` one could belong to.
        pub candidate_count: Option<i64>,
        /// Our row.
        pub platform: Option<ToldRow>,
        /// The channel's row that belongs to it.
        pub channel: Option<ToldRow>,
        /// The channel's row that the other set of rules pairs with ours, where it is alone here.
        pub apart: Option<ApartRow>,
    }

    /// A row of the channel's that is alone.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    pub struct ApartRow {
        /// How it comes out.
        pub diff_type: String,
        /// The row.
        pub channel: ToldRow,
    }

    /// A row of a file.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    pub struct ToldRow {
        /// The line on which it starts, from 1; absent for a row that an earlier day has carried forward.
        pub line: Option<i64>,
        /// What the money moved for.
        pub kind: String,
        /// The channel's id of the movement.
        pub channel_trade_no: Option<String>,
        /// The row's own id: the payment number of ours, the channel's id of its row.
        pub row_id: Option<String>,
        /// Minor units.
        pub amount: i64,
        /// The currency of `amount`.
        pub currency: String,
        /// The status as it stands in the file.
        pub status: Option<String>,
        /// When the money moved, as it stands in the file.
        pub occurred_at: Option<String>,
    }

    /// They name their back-test; nothing is joined.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    /// Which changes a list shows; fields that are `None` do not filter.
    #[derive(Debug, Clone, Default, Deserialize, IntoParams)]
    #[serde(deny_unknown_fields)]
    #[into_params(parameter_in = Query)]
    pub struct Filter {
        /// Only those that go this way: `gained`, `lost` or `changed`.
        pub kind: Option<String>,
        /// Only of this task.
        pub task_id: Option<Uuid>,
    }

    /// Where a list goes on.
    #[derive(Debug, Clone, Copy, Serialize, Deserialize)]
    pub struct Cursor {
        position: i64,
        ordinal: i64,
    }

    /// Stores changes.
    pub async fn insert_all(tx: &Tx, changes: Vec<Model>) -> Result<()> {
        bulk::insert(tx, changes.into_iter().map(|change| change.into_active_model().reset_all())).await
    }

    /// A page of a back-test's changes: task by task, inside a task in the order of its files.
    pub async fn list(
        conn: &impl ConnectionTrait,
        back_test_id: Uuid,
        filter: &Filter,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<Model>> {
        let all = Entity::find()
            .filter(Column::BackTestId.eq(back_test_id))
            .apply_if(filter.kind.clone(), |rows, kind| rows.filter(Column::Kind.eq(kind)))
            .apply_if(filter.task_id, |rows, task| rows.filter(Column::TaskId.eq(task)));
        let mut rows = all.clone().order_by_asc(Column::Position).order_by_asc(Column::Ordinal);
        if let Slice::After(Cursor { position, ordinal }) = request.slice {
            let same_task = Cond::all().add(Column::Position.eq(position)).add(Column::Ordinal.gt(ordinal));
            rows = rows.filter(Cond::any().add(Column::Position.gt(position)).add(same_task));
        }
        fetch_page(conn, all, rows, request, |change| Cursor {
            position: change.position,
            ordinal: change.ordinal,
        })
        .await
    }
}
