//! `channel_settlement_files`: every file that a reconciliation reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chrono::NaiveDate;
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, SelectStatement};
use sea_orm::{ActiveValue, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error;
use crate::model::{Channel, FileFormat, FileRole, FileSource, FileStatus};
use crate::payouts::{Days, accounts_named};

/// One file; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_settlement_files")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub file_no: String,
    pub role: FileRole,
    pub channel: Channel,
    pub account: String,
    pub settlement_date: NaiveDate,
    pub timezone: String,
    pub status: FileStatus,
    pub source: FileSource,
    pub format: FileFormat,
    pub mapping: Option<String>,
    pub reading_hash: String,
    pub report_type: Option<String>,
    pub external_id: Option<String>,
    pub file_name: Option<String>,
    pub file_size: Option<i64>,
    pub file_hash: Option<String>,
    pub record_count: Option<i64>,
    pub reject_count: Option<i64>,
    pub rejects: Option<Json>,
    pub same_as: Option<Uuid>,
    pub superseded_by: Option<Uuid>,
    pub error_message: Option<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub downloaded_at: Option<Timestamp>,
    pub day_record_count: Option<i64>,
    pub covers_from: Option<NaiveDate>,
    pub covers_to: Option<NaiveDate>,
    pub bank_accounts: String,
    pub read_version: i32,
    pub read_after: Option<Timestamp>,
}

/// Files stand alone; tasks name them.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What a file is about: one role of one day of one channel account, and for a bank statement which of the bank's accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What the file says.
    pub role: FileRole,
    /// Whose.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// The business day.
    pub date: NaiveDate,
    /// The zone that defines it.
    pub timezone: String,
    /// The bank's accounts; empty for every other role, and where files of a day are meant whatever accounts they have.
    pub bank_accounts: String,
}

impl Subject {
    /// Whether it may be about this bank account: it is when it does not say which. The account without a name is any.
    pub fn may_be_about(&self, bank_account: &str) -> bool {
        let mut named = accounts_named(&self.bank_accounts).peekable();
        bank_account.is_empty() || named.peek().is_none() || named.any(|account| account == bank_account)
    }
}

impl Model {
    /// The days that a bank statement tells of.
    pub fn covers(&self) -> Option<Days> {
        Days::spanning(self.covers_from.into_iter().chain(self.covers_to))
    }

    /// What the file is about.
    pub fn subject(&self) -> Subject {
        Subject {
            role: self.role,
            channel: self.channel,
            account: self.account.clone(),
            date: self.settlement_date,
            timezone: self.timezone.clone(),
            bank_accounts: self.bank_accounts.clone(),
        }
    }
}

/// Which of an earlier release's readings are due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// The version that this release keeps: what is below it is due.
    pub version: i32,
    /// The present instant.
    pub now: Timestamp,
}

impl Due {
    /// Whether something of this version, not to be read before that, is due.
    pub fn is(self, version: i32, not_before: Option<Timestamp>) -> bool {
        version < self.version && not_before.is_none_or(|instant| instant <= self.now)
    }
}

/// Which files a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// Only of this business day.
    pub settlement_date: Option<NaiveDate>,
    /// Only in this state.
    pub status: Option<FileStatus>,
    /// Only of this role.
    pub role: Option<FileRole>,
}

/// Stores a new file row.
pub async fn insert(tx: &Tx, file: Model) -> Result<Model> {
    Ok(file.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// Writes what `change` does to a file row.
pub async fn update(
    tx: &Tx,
    file: Model,
    now: Timestamp,
    change: impl FnOnce(&mut ActiveModel),
) -> Result<Model> {
    let mut row = file.into_active_model();
    change(&mut row);
    row.updated_at = ActiveValue::Set(now);
    Ok(row.update(tx.conn()).await?)
}

/// The file with this id, if it exists.
pub async fn by_id(conn: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id).one(conn).await?)
}

/// The file with this id, locked for the rest of the transaction, if it exists.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?)
}

/// The file with this number, or 404.
pub async fn by_number(conn: &impl ConnectionTrait, file_no: &str) -> Result<Model> {
    // No number holds a NUL, and PostgreSQL refuses texts that do.
    if file_no.contains('\0') {
        return Err(error::file_not_found(file_no));
    }
    let file = Entity::find().filter(Column::FileNo.eq(file_no)).one(conn).await?;
    file.ok_or_else(|| error::file_not_found(file_no))
}

/// The file in force for a subject.
pub async fn current(conn: &impl ConnectionTrait, subject: &Subject) -> Result<Option<Model>> {
    Ok(about(subject).filter(Column::Status.eq(FileStatus::Stored)).one(conn).await?)
}

/// The file that already has these bytes for the subject, to be read in the same way, in force or superseded.
pub async fn with_content(
    conn: &impl ConnectionTrait,
    subject: &Subject,
    file_hash: &str,
    reading_hash: &str,
) -> Result<Option<Model>> {
    let known = [FileStatus::Stored, FileStatus::Superseded];
    let file = about(subject)
        .filter(Column::FileHash.eq(file_hash))
        .filter(Column::ReadingHash.eq(reading_hash))
        .filter(Column::Status.is_in(known))
        .one(conn)
        .await?;
    Ok(file)
}

/// The unfinished download of a subject, if one was begun.
pub async fn requested(conn: &impl ConnectionTrait, subject: &Subject) -> Result<Option<Model>> {
    let file = about(subject)
        .filter(Column::Status.eq(FileStatus::Requested))
        .order_by_desc(Column::Id)
        .one(conn)
        .await?;
    Ok(file)
}

/// Whether a download of a subject was begun since then and came to nothing.
pub async fn failed_since(conn: &impl ConnectionTrait, subject: &Subject, since: Timestamp) -> Result<bool> {
    let failed = about(subject)
        .filter(Column::Status.eq(FileStatus::Failed))
        .filter(Column::CreatedAt.gte(since))
        .one(conn)
        .await?;
    Ok(failed.is_some())
}

/// The unfinished downloads that wait for one of the channel's report runs.
pub async fn waiting_for(conn: &impl ConnectionTrait, external_id: &str) -> Result<Vec<Model>> {
    let files = Entity::find()
        .filter(Column::ExternalId.eq(external_id))
        .filter(Column::Status.eq(FileStatus::Requested))
        .all(conn)
        .await?;
    Ok(files)
}

/// What the watch for expected files has to know of a file.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Kept {
    /// The business day.
    pub settlement_date: NaiveDate,
    /// In force or superseded.
    pub status: FileStatus,
    /// As the sender called it.
    pub file_name: Option<String>,
    /// What tells its content from another one.
    pub file_hash: Option<String>,
    /// When it was there, whole.
    pub downloaded_at: Option<Timestamp>,
}

/// The files of some days, of the role, channel, account and zone of `like`, that are in force or were: the first day first,
/// and of a day those first that came first.
pub async fn kept(
    conn: &impl ConnectionTrait,
    like: &Subject,
    days: RangeInclusive<NaiveDate>,
) -> Result<Vec<Kept>> {
    let known = [FileStatus::Stored, FileStatus::Superseded];
    let kept = of_account(like)
        .filter(Column::SettlementDate.between(*days.start(), *days.end()))
        .filter(Column::Status.is_in(known))
        .order_by_asc(Column::SettlementDate)
        .order_by_asc(Column::DownloadedAt)
        .select_only()
        .columns([
            Column::SettlementDate,
            Column::Status,
            Column::FileName,
            Column::FileHash,
            Column::DownloadedAt,
        ])
        .into_model::<Kept>()
        .all(conn)
        .await?;
    Ok(kept)
}

/// The files in force of the role, channel, account and zone of `like` that tell of any of these days: those first that
/// came last.
pub async fn covering(
    conn: &impl ConnectionTrait,
    like: &Subject,
    days: RangeInclusive<NaiveDate>,
) -> Result<Vec<Model>> {
    let files = of_account(like)
        .filter(Column::Status.eq(FileStatus::Stored))
        .filter(Column::CoversFrom.lte(*days.end()))
        .filter(Column::CoversTo.gte(*days.start()))
        .order_by_desc(Column::DownloadedAt)
        .order_by_desc(Column::Id)
        .all(conn)
        .await?;
    Ok(files)
}

/// These files, those first that came last.
pub async fn named(conn: &impl ConnectionTrait, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<Model>> {
    let files = Entity::find().filter(Column::Id.is_in(ids));
    Ok(files.order_by_desc(Column::DownloadedAt).order_by_desc(Column::Id).all(conn).await?)
}

/// The ids of the files in force of the role, channel, account and zone of `like`, for a condition.
pub(super) fn in_force(like: &Subject) -> SelectStatement {
    let files = of_account(like).filter(Column::Status.eq(FileStatus::Stored));
    files.select_only().column(Column::Id).into_query()
}

/// The `bank_accounts` of the files in force that may be about one bank account.
#[derive(Debug, Default)]
pub struct AboutAccount(BTreeSet<String>);

impl AboutAccount {
    /// Whether this file may be about it.
    pub fn has(&self, file: &Model) -> bool {
        self.0.contains(&file.bank_accounts)
    }
}

/// Which files in force of the role, channel, account and zone of `like` may be about each bank account that any of them is
/// about. Files that do not name theirs, since they are of an earlier release or of too many, may be about any.
pub async fn by_bank_account(
    conn: &impl ConnectionTrait,
    like: &Subject,
) -> Result<BTreeMap<String, AboutAccount>> {
    let in_force = of_account(like).filter(Column::Status.eq(FileStatus::Stored));
    let in_force = in_force.select_only().column(Column::BankAccounts).distinct();
    let all: Vec<String> = in_force.into_tuple().all(conn).await?;
    let (named, unnamed): (Vec<String>, Vec<String>) =
        all.into_iter().partition(|one| accounts_named(one).next().is_some());
    let mut accounts: BTreeMap<String, AboutAccount> = BTreeMap::new();
    for one in &named {
        for account in accounts_named(one) {
            accounts.entry(account.to_owned()).or_default().0.insert(one.clone());
        }
    }
    if accounts.is_empty() && !unnamed.is_empty() {
        accounts.insert(String::new(), AboutAccount::default());
    }
    for about in accounts.values_mut() {
        about.0.extend(unnamed.iter().cloned());
    }
    Ok(accounts)
}

/// The last day before this one of which a file in force of the role, channel, account and zone of `like` tells that may be
/// about this bank account.
pub async fn told_before(
    conn: &impl ConnectionTrait,
    like: &Subject,
    about: &AboutAccount,
    day: NaiveDate,
) -> Result<Option<NaiveDate>> {
    let last = of_account(like)
        .filter(Column::BankAccounts.is_in(&about.0))
        .filter(Column::Status.eq(FileStatus::Stored))
        .filter(Column::CoversTo.lt(day))
        .order_by_desc(Column::CoversTo)
        .one(conn)
        .await?;
    Ok(last.and_then(|file| file.covers_to))
}

/// The file in force of the role, channel, account and zone of `like` that is the first to tell of days behind this one alone,
/// of those that may be about this bank account.
pub async fn first_behind(
    conn: &impl ConnectionTrait,
    like: &Subject,
    about: &AboutAccount,
    day: NaiveDate,
) -> Result<Option<Model>> {
    let first = of_account(like)
        .filter(Column::BankAccounts.is_in(&about.0))
        .filter(Column::Status.eq(FileStatus::Stored))
        .filter(Column::CoversFrom.gt(day))
        .order_by_asc(Column::CoversFrom)
        .order_by_desc(Column::Id)
        .one(conn)
        .await?;
    Ok(first)
}

/// A page of files, newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Uuid>,
) -> Result<Page<Model>> {
    let all = Entity::find()
        .apply_if(filter.channel, |rows, channel| rows.filter(Column::Channel.eq(channel)))
        .apply_if(filter.settlement_date, |rows, date| rows.filter(Column::SettlementDate.eq(date)))
        .apply_if(filter.status, |rows, status| rows.filter(Column::Status.eq(status)))
        .apply_if(filter.role, |rows, role| rows.filter(Column::Role.eq(role)));
    let mut rows = all.clone().order_by_desc(Column::Id);
    if let Slice::After(id) = request.slice {
        rows = rows.filter(Column::Id.lt(id));
    }
    fetch_page(conn, all, rows, request, |file| file.id).await
}

/// The ids of bank statements in force that are due to be read again, at most so many.
pub async fn to_read_again(conn: &impl ConnectionTrait, due: Due, most: u64) -> Result<Vec<Uuid>> {
    Ok(ids_of_due(Entity::find(), due).limit(most).into_tuple().all(conn).await?)
}

/// The same of the day, channel, account and zone of `like`, whatever bank accounts they are about.
pub async fn of_day_to_read_again(
    conn: &impl ConnectionTrait,
    like: &Subject,
    due: Due,
) -> Result<Vec<Uuid>> {
    let of_day = of_account(like).filter(Column::SettlementDate.eq(like.date));
    Ok(ids_of_due(of_day, due).into_tuple().all(conn).await?)
}

fn ids_of_due(files: Select<Entity>, due: Due) -> Select<Entity> {
    files
        .select_only()
        .column(Column::Id)
        .filter(Column::Role.eq(FileRole::BankStatement))
        .filter(Column::Status.eq(FileStatus::Stored))
        .filter(Column::ReadVersion.lt(due.version))
        .filter(Column::ReadAfter.is_null().or(Column::ReadAfter.lte(due.now)))
        .order_by_asc(Column::ReadVersion)
}

/// Locks all files of a subject against other changes in the database, so that two deliveries of one day
/// follow one another. On SQLite the one writer is lock enough.
pub async fn lock_subject(tx: &Tx, subject: &Subject) -> Result<()> {
    about(subject).lock_exclusive().all(tx.conn()).await?;
    Ok(())
}

fn about(subject: &Subject) -> Select<Entity> {
    of_account(subject)
        .filter(Column::SettlementDate.eq(subject.date))
        .filter(Column::BankAccounts.eq(subject.bank_accounts.as_str()))
}

/// Files of every day.
fn of_account(subject: &Subject) -> Select<Entity> {
    Entity::find()
        .filter(Column::Role.eq(subject.role))
        .filter(Column::Channel.eq(subject.channel))
        .filter(Column::Account.eq(subject.account.as_str()))
        .filter(Column::Timezone.eq(subject.timezone.as_str()))
}
