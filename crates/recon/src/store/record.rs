//! `reconciliation_records` and their history.

use std::cmp::Reverse;
use std::collections::HashMap;

use chrono::NaiveDate;
use payops_channels::row::Kind;
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, count_rows};
use payops_platform::error::{Error, Result};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Cond, IntoCondition};
use sea_orm::{
    ActiveValue, DbBackend, FromQueryResult, IdenStatic, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait,
};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::bulk;
use crate::engine::DiffType;
use crate::error;
use crate::model::{Channel, ReasonCode, RecordStatus};

/// How many records one statement hides, or reads to be told of.
const ROWS_AT_ONCE: usize = 2_000;

/// One difference (or matched pair); the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_records")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub task_id: Uuid,
    pub task_no: String,
    pub task_date: NaiveDate,
    pub channel: Channel,
    pub ordinal: i64,
    pub identity: String,
    pub diff_type: String,
    pub kind: String,
    pub payment_no: Option<String>,
    pub channel_trade_no: Option<String>,
    pub channel_row_id: Option<String>,
    pub merchant_id: Option<String>,
    pub payout_id: Option<String>,
    pub platform_amount: Option<i64>,
    pub channel_amount: Option<i64>,
    pub diff_amount: Option<i64>,
    pub platform_currency: Option<String>,
    pub channel_currency: Option<String>,
    pub platform_status: Option<String>,
    pub channel_status: Option<String>,
    pub platform_line: Option<i64>,
    pub channel_line: Option<i64>,
    pub occurred_at: Option<String>,
    pub status: RecordStatus,
    pub assigned_to: Option<String>,
    pub assigned_at: Option<Timestamp>,
    pub reason_code: Option<ReasonCode>,
    pub resolution_note: Option<String>,
    pub resolved_by: Option<String>,
    pub resolved_at: Option<Timestamp>,
    pub gone_at: Option<Timestamp>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub added_run: i64,
    pub first_date: Option<NaiveDate>,
    pub carried_from: Option<Uuid>,
    pub tolerance_rule: Option<String>,
    pub adjustment: Option<i64>,
    pub candidate_count: Option<i64>,
    pub candidates: Option<String>,
    pub paired_with: Option<Uuid>,
}

/// A row of the other side that an ambiguous one could belong to, as it stands in `candidates`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The line in the other side's file; `None` for a row of an earlier day.
    pub line: Option<i64>,
    /// Its amount, minor units.
    pub amount: i64,
    /// The currency of `amount`.
    pub currency: String,
    /// The row's own id.
    pub row_id: Option<String>,
    /// When the money moved, as it stands in the source.
    pub occurred_at: Option<String>,
    /// Of a row of an earlier day: its record there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_from: Option<Uuid>,
}

impl Model {
    /// The rows that an ambiguous one could belong to: the first of them.
    pub fn candidates(&self) -> Result<Vec<Candidate>> {
        let text = self.candidates.as_deref().unwrap_or("[]");
        serde_json::from_str(text).map_err(|error| {
            Error::impossible_row("reconciliation_records", "candidates", self.id, error.to_string())
        })
    }
}

/// Records name their task; nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What happened to records.
pub mod event {
    use payops_core::time::Timestamp;
    use sea_orm::entity::prelude::*;

    /// One happening; the columns are explained in the migration.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "reconciliation_record_events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub record_id: Uuid,
        pub action: String,
        pub reason_code: Option<String>,
        pub note: Option<String>,
        pub actor: String,
        pub created_at: Timestamp,
    }

    /// Events name their record; nothing is joined.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Which records a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this task.
    pub task_id: Option<Uuid>,
    /// Only of this business day.
    pub task_date: Option<NaiveDate>,
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// Only differences of this type.
    pub diff_type: Option<String>,
    /// Only rows of this kind.
    pub kind: Option<String>,
    /// Only in this state. What nobody has to do anything about (`matched`, `not_expected`, where a task stores them) is in
    /// none, unless `diff_type` asks for it.
    pub status: Option<RecordStatus>,
    /// Only of this owner.
    pub assigned_to: Option<String>,
    /// Only of this payment.
    pub payment_no: Option<String>,
    /// Only with this id of the channel.
    pub channel_trade_no: Option<String>,
    /// Only where either side is in this currency.
    pub currency: Option<String>,
}

impl Filter {
    /// The last column that is filtered by of the index that has all of them and nothing before, where there is one.
    fn lead(&self) -> Option<Column> {
        let asked = [
            (Column::TaskId, self.task_id.is_some()),
            (Column::TaskDate, self.task_date.is_some()),
            (Column::Channel, self.channel.is_some()),
            (Column::DiffType, self.diff_type.is_some()),
            (Column::Kind, self.kind.is_some()),
            (Column::Status, self.status.is_some()),
            (Column::AssignedTo, self.assigned_to.is_some()),
            (Column::PaymentNo, self.payment_no.is_some()),
            (Column::ChannelTradeNo, self.channel_trade_no.is_some()),
            (Column::PlatformCurrency, self.currency.is_some()),
        ];
        let asked: Vec<Column> =
            asked.into_iter().filter(|(_, asked)| *asked).map(|(column, _)| column).collect();
        match asked[..] {
            [Column::TaskId | Column::PaymentNo | Column::ChannelTradeNo] => None,
            [lead]
            | [lead @ (Column::DiffType | Column::Channel), Column::Status]
            | [Column::Status, lead @ Column::AssignedTo] => Some(lead),
            _ => None,
        }
    }

    /// Whether nothing but a task is filtered by.
    fn is_plain(&self) -> bool {
        let Self { task_id: _, task_date, channel, diff_type, kind, status, .. } = self;
        let Self { assigned_to, payment_no, channel_trade_no, currency, .. } = self;
        let texts = [diff_type, kind, assigned_to, payment_no, channel_trade_no, currency];
        task_date.is_none()
            && channel.is_none()
            && status.is_none()
            && texts.iter().all(|text| text.is_none())
    }
}

/// Where a list of records goes on: after this record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    task_id: Uuid,
    ordinal: i64,
}

/// A record that a new run has found again.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Known {
    /// What the difference states.
    pub identity: String,
    /// The record's id.
    pub id: Uuid,
}

/// Whether a task has any records, those included that are gone.
pub async fn any(tx: &Tx, task_id: Uuid) -> Result<bool> {
    let one = Entity::find().select_only().column(Column::Id).filter(Column::TaskId.eq(task_id)).limit(1);
    Ok(one.into_tuple::<Uuid>().one(tx.conn()).await?.is_some())
}

/// The records of a task with these identities, those included that are gone.
pub async fn known(
    tx: &Tx,
    task_id: Uuid,
    identities: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Uuid>> {
    let identities: Vec<&str> = identities.into_iter().collect();
    let list =
        tx.backend().pick("SELECT value FROM json_each($2)", "SELECT json_array_elements_text($2::json)");
    let sql = format!(
        "SELECT identity, id FROM reconciliation_records WHERE task_id = $1 AND identity IN ({list})"
    );
    let identities = serde_json::to_string(&identities).map_err(Error::internal)?;
    let statement = tx.statement(&sql, [task_id.into(), identities.into()]);
    let rows = Known::find_by_statement(statement).all(tx.conn()).await?;
    Ok(rows.into_iter().map(|record| (record.identity, record.id)).collect())
}

/// Adds records.
pub async fn insert_all(tx: &Tx, records: Vec<Model>) -> Result<()> {
    bulk::insert(tx, records.into_iter().map(|record| record.into_active_model().reset_all())).await
}

/// Removes some of the records that a run has added which was never completed; gives how many.
pub async fn remove_added(tx: &Tx, task_id: Uuid, run_no: i64, most: u64) -> Result<u64> {
    let some = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::TaskId.eq(task_id))
        .filter(Column::AddedRun.eq(run_no))
        .order_by_asc(Column::Ordinal)
        .limit(most)
        .into_query();
    let removed = Entity::delete_many().filter(Column::Id.in_subquery(some)).exec(tx.conn()).await?;
    Ok(removed.rows_affected)
}

/// Some of the records that a run has found again and that were gone, by id after `after`.
pub async fn returned(tx: &Tx, task_id: Uuid, after: Uuid) -> Result<Vec<Uuid>> {
    let sql = format!(
        "SELECT record.id AS id FROM reconciliation_found AS found \
         JOIN reconciliation_records AS record ON record.id = found.record_id \
         WHERE found.task_id = $1 AND found.record_id > $2 AND record.gone_at IS NOT NULL \
         ORDER BY found.record_id LIMIT {ROWS_AT_ONCE}"
    );
    let rows = tx.query_all_raw(tx.statement(&sql, [task_id.into(), after.into()])).await?;
    Ok(rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?)
}

/// Gives the records that a run has found again their new places; what people did about them stands.
pub async fn take_places(tx: &Tx, task_id: Uuid, now: Timestamp) -> Result<()> {
    const PLACE: [&str; 10] = [
        "ordinal",
        "platform_line",
        "channel_line",
        "payout_id",
        "merchant_id",
        "occurred_at",
        "first_date",
        "carried_from",
        "candidate_count",
        "candidates",
    ];
    let set = PLACE.map(|column| format!("{column} = found.{column}")).join(", ");
    let moved = PLACE.map(|column| format!("record.{column} IS DISTINCT FROM found.{column}")).join(" OR ");
    let sql = format!(
        "UPDATE reconciliation_records AS record SET {set}, gone_at = NULL, updated_at = $2 \
         FROM reconciliation_found AS found WHERE found.task_id = $1 AND record.id = found.record_id \
         AND (record.gone_at IS NOT NULL OR {moved})"
    );
    tx.execute_raw(tx.statement(&sql, [task_id.into(), now.into()])).await?;
    Ok(())
}

/// Some of the records that are there and that the run has neither found again nor added, by identity after `after`.
pub async fn not_found(tx: &Tx, task_id: Uuid, run_no: i64, after: &str) -> Result<Vec<Known>> {
    let sql = format!(
        "SELECT record.identity AS identity, record.id AS id FROM reconciliation_records AS record \
         WHERE record.task_id = $1 AND record.identity > $3 AND record.gone_at IS NULL AND record.added_run <> $2 \
         AND NOT EXISTS (SELECT 1 FROM reconciliation_found AS found \
         WHERE found.task_id = record.task_id AND found.record_id = record.id) \
         ORDER BY record.identity LIMIT {ROWS_AT_ONCE}"
    );
    let statement = tx.statement(&sql, [task_id.into(), run_no.into(), after.into()]);
    Ok(Known::find_by_statement(statement).all(tx.conn()).await?)
}

/// The ambiguous records of a task that stand in these lines of the side that `record` is not of, by line.
pub async fn candidates_of(
    conn: &impl ConnectionTrait,
    record: &Model,
    lines: &[i64],
) -> Result<HashMap<i64, Uuid>> {
    let line = if record.platform_amount.is_some() { Column::ChannelLine } else { Column::PlatformLine };
    let rows = Entity::find()
        .filter(shown())
        .filter(Column::TaskId.eq(record.task_id))
        .filter(Column::DiffType.eq(DiffType::Ambiguous.as_str()))
        .filter(line.is_in(lines.iter().copied()))
        .select_only()
        .columns([line, Column::Id])
        .into_tuple::<(i64, Uuid)>()
        .all(conn)
        .await?;
    Ok(rows.into_iter().collect())
}

/// Hides every record of a task that was called off.
pub async fn mark_all_gone(tx: &Tx, task_id: Uuid, now: Timestamp) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::GoneAt, Expr::value(Some(now)))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::TaskId.eq(task_id))
        .filter(Column::GoneAt.is_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Hides records that a new run no longer has.
pub async fn mark_gone(tx: &Tx, ids: &[Uuid], now: Timestamp) -> Result<()> {
    for batch in ids.chunks(ROWS_AT_ONCE) {
        Entity::update_many()
            .col_expr(Column::GoneAt, Expr::value(Some(now)))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Id.is_in(batch.iter().copied()))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}

/// The record, or 404. One that is gone is found too: its history stands.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid) -> Result<Model> {
    Entity::find_by_id(id).one(conn).await?.ok_or_else(|| error::record_not_found(id))
}

/// The record, locked for the rest of the transaction, or 404; one that is gone is refused.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Locked<Model>> {
    let record = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    let record = record.ok_or_else(|| error::record_not_found(id))?;
    if record.gone_at.is_some() {
        return Err(error::record_gone(id));
    }
    Ok(Locked::assert_locked(record))
}

/// Writes what `change` does to a locked record and grows its version.
pub async fn update(
    tx: &Tx,
    record: Locked<Model>,
    now: Timestamp,
    change: impl FnOnce(&mut ActiveModel),
) -> Result<Model> {
    let version = record.version + 1;
    let mut row = record.into_inner().into_active_model();
    change(&mut row);
    row.version = ActiveValue::Set(version);
    row.updated_at = ActiveValue::Set(now);
    Ok(row.update(tx.conn()).await?)
}

/// Adds to the history of records.
pub async fn insert_events(tx: &Tx, events: Vec<event::Model>) -> Result<()> {
    bulk::insert(tx, events.into_iter().map(|event| event.into_active_model().reset_all())).await
}

/// The history of a record, the first first.
pub async fn events(conn: &impl ConnectionTrait, record_id: Uuid) -> Result<Vec<event::Model>> {
    let events = event::Entity::find()
        .filter(event::Column::RecordId.eq(record_id))
        .order_by_asc(event::Column::CreatedAt)
        .order_by_asc(event::Column::Id)
        .all(conn)
        .await?;
    Ok(events)
}

/// A page of records: newest task first, inside a task in the order of its output.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Cursor>,
) -> Result<Page<Model>> {
    let lists = lists(filter, conn.get_database_backend());
    let mut counted = 0;
    for list in &lists {
        // In its order: PostgreSQL would walk through the whole table to find what it thinks is everywhere.
        counted += count_rows(conn, list.clone().ordered()).await?;
    }
    let (offset, most) = (request.offset(), request.size + 1);
    let mut places = match &lists[..] {
        [list] => places(conn, list, &request.slice, (offset, most)).await?,
        several => {
            let mut places_of_all = Vec::new();
            for list in several {
                places_of_all.extend(places(conn, list, &request.slice, (0, offset + most)).await?);
            }
            places_of_all.sort_unstable_by_key(|(task_id, ordinal, _)| (Reverse(*task_id), *ordinal));
            places_of_all.drain(..places_of_all.len().min(usize::try_from(offset).unwrap_or(usize::MAX)));
            places_of_all
        }
    };
    places.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let page = Entity::find().filter(Column::Id.is_in(places.into_iter().map(|(.., id)| id)));
    let page = page.order_by_desc(Column::TaskId).order_by_asc(Column::Ordinal).all(conn).await?;
    Ok(Page::build(request, page, counted, cursor_of))
}

/// Where a record is in the list, and its id.
type Place = (Uuid, i64, Uuid);

/// A slice of a list, which an index holds: the rows of the table are wide. What follows a cursor is read from its own
/// task first and then from the others, each of which is one step in the index.
async fn places(
    conn: &impl ConnectionTrait,
    list: &List,
    slice: &Slice<Cursor>,
    (offset, most): (u64, u64),
) -> Result<Vec<Place>> {
    let read = async |list: List, offset, most| {
        let rows = list.ordered().select_only().columns([Column::TaskId, Column::Ordinal, Column::Id]);
        rows.offset(offset).limit(most).into_tuple::<Place>().all(conn).await
    };
    let Slice::After(Cursor { task_id, ordinal }) = slice else {
        return Ok(read(list.clone(), offset, most).await?);
    };
    let rest = list.clone().filter(Column::TaskId.eq(*task_id)).filter(Column::Ordinal.gt(*ordinal));
    let mut places = read(rest, 0, most).await?;
    let missing = most.saturating_sub(places.len() as u64);
    if missing > 0 {
        places.extend(read(list.clone().filter(Column::TaskId.lt(*task_id)), 0, missing).await?);
    }
    Ok(places)
}

/// Which records an export is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Every record.
    All,
    /// What somebody has to explain.
    Differences,
}

/// The next `size` records of a task after `ordinal`, for exports that walk to the end.
pub async fn after(
    conn: &impl ConnectionTrait,
    task_id: Uuid,
    wanted: Wanted,
    ordinal: i64,
    size: u64,
) -> Result<Vec<Model>> {
    let filter = Filter { task_id: Some(task_id), ..Filter::default() };
    let others = DiffType::ALL.into_iter().filter(|diff_type| !diff_type.is_difference());
    let others: Vec<&str> = others.map(DiffType::as_str).collect();
    let only_differences = (wanted == Wanted::Differences).then_some(others);
    let rows = filtered(&filter, None)
        .rows
        .apply_if(only_differences, |rows, others| rows.filter(Column::DiffType.is_not_in(others)))
        .filter(Column::Ordinal.gt(ordinal))
        .order_by_asc(Column::Ordinal)
        .limit(size)
        .all(conn)
        .await?;
    Ok(rows)
}

/// Which records are to be seen: those that are not gone, and not of a run that is still being written down.
pub(super) fn shown() -> Cond {
    // No join, of which PostgreSQL has no idea how many rows it would leave.
    Cond::all().add(Column::GoneAt.is_null()).add(Expr::cust(FINISHED))
}

/// Of a record: its run is written down. Of tasks that write nothing the record's run need not be known, so that SQLite
/// looks up no row for it.
pub(super) const FINISHED: &str = "(reconciliation_records.task_id NOT IN \
     (SELECT id FROM reconciliation_tasks WHERE saving_run IS NOT NULL) \
     OR (reconciliation_records.task_id, reconciliation_records.added_run) NOT IN \
     (SELECT id, saving_run FROM reconciliation_tasks WHERE saving_run IS NOT NULL))";

fn cursor_of(record: &Model) -> Cursor {
    Cursor { task_id: record.task_id, ordinal: record.ordinal }
}

/// A list in its order, with the column that PostgreSQL is led by.
#[derive(Debug, Clone)]
struct List {
    rows: Select<Entity>,
    lead: Option<Column>,
}

impl List {
    fn ordered(self) -> Select<Entity> {
        let rows = match self.lead {
            Some(lead) => self.rows.order_by_asc(lead),
            None => self.rows,
        };
        rows.order_by_desc(Column::TaskId).order_by_asc(Column::Ordinal)
    }

    fn filter(self, condition: impl IntoCondition) -> Self {
        Self { rows: self.rows.filter(condition), ..self }
    }

    /// Only rows with this value. In the column that leads it is a span of one value: then the order of the list begins with that
    /// column, which one index alone has. PostgreSQL takes every value to be spread over all tasks, and would walk
    /// through the newest ones, where there may be none.
    fn filter_by<V: Into<Value> + Clone>(self, column: Column, value: Option<V>) -> Self {
        match value {
            None => self,
            Some(value) if self.lead.is_some_and(|lead| lead.as_str() == column.as_str()) => {
                self.filter(column.gte(value.clone())).filter(column.lte(value))
            }
            Some(value) => self.filter(column.eq(value)),
        }
    }
}

/// What a filter shows, as lists that have no record in common: one, or with a currency those with it on the platform's side
/// and those with it on the channel's side alone.
fn lists(filter: &Filter, backend: DbBackend) -> Vec<List> {
    let lead = filter.lead().filter(|_| backend == DbBackend::Postgres);
    let filtered = |lead| with_rare_kind(filtered(filter, lead), filter, backend);
    let Some(currency) = &filter.currency else { return vec![filtered(lead)] };
    let with = |column| {
        let lead = lead.map(|lead| if matches!(lead, Column::PlatformCurrency) { column } else { lead });
        filtered(lead).filter_by(column, Some(currency.clone()))
    };
    let other = "(platform_currency IS NULL OR platform_currency <> channel_currency)";
    vec![with(Column::PlatformCurrency), with(Column::ChannelCurrency).filter(Expr::cust(other))]
}

/// Tells SQLite that a kind is rare. It knows how many records are of a kind on average, of which nearly all are payments, and
/// would walk through a million records of a type for the few of a type, a channel and another kind.
fn with_rare_kind(list: List, filter: &Filter, backend: DbBackend) -> List {
    let Filter { kind: Some(kind), diff_type: Some(_), channel: Some(_), .. } = filter else { return list };
    if backend != DbBackend::Sqlite || kind == Kind::Payment.as_str() {
        return list;
    }
    list.filter(Expr::cust_with_values("likelihood(kind = ?, 0.01)", [kind.as_str()]))
}

/// All that a filter says but the currency.
fn filtered(filter: &Filter, lead: Option<Column>) -> List {
    let filter = filter.clone();
    let rows = Entity::find().filter(shown());
    // The index of lists without a filter is for them alone; see its migration.
    let rows = if filter.is_plain() { rows.filter(Expr::cust("version > 0")) } else { rows };
    // Without the types that are in no state, unless a type is asked for.
    let rows = if filter.status.is_some() && filter.diff_type.is_none() {
        rows.filter(Column::DiffType.is_not_in(DiffType::unlisted()))
    } else {
        rows
    };
    List { rows, lead }
        .filter_by(Column::TaskId, filter.task_id)
        .filter_by(Column::TaskDate, filter.task_date)
        .filter_by(Column::Channel, filter.channel)
        .filter_by(Column::DiffType, filter.diff_type)
        .filter_by(Column::Kind, filter.kind)
        .filter_by(Column::Status, filter.status)
        .filter_by(Column::AssignedTo, filter.assigned_to)
        .filter_by(Column::PaymentNo, filter.payment_no)
        .filter_by(Column::ChannelTradeNo, filter.channel_trade_no)
}
