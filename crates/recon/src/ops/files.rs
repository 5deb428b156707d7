//! Taking files in: each is known by its content, and a corrected one takes the place of the old.

use std::time::Duration;

use payops_core::id::readable_number;
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{self, EnqueueOptions};
use sea_orm::ActiveEnum;
use sea_orm::ActiveValue::Set;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Reconciliation;
use crate::error;
use crate::formats::{Holds, Inspection};
use crate::jobs::{FetchFile, MOST_ATTEMPTS};
use crate::model::{FileFormat, FileRole, FileSource, FileStatus};
use crate::ops::tasks::retry_unique;
use crate::ops::{catch_up, inputs};
use crate::store::bank_reversal;
use crate::store::file::{self, Model as StoredFile, Subject};

/// How soon a fetch is begun anew whose row was given up.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A file that is asked for or handed over, before its bytes are known.
#[derive(Debug, Clone)]
pub struct Announced {
    /// What it is about.
    pub subject: Subject,
    /// How it comes.
    pub source: FileSource,
    /// Which reader reads it.
    pub format: FileFormat,
    /// The TOML mapping, for [`FileFormat::Mapped`].
    pub mapping: Option<String>,
    /// The channel's name of the report.
    pub report_type: Option<String>,
    /// As the sender called it.
    pub file_name: Option<String>,
    /// What it may do although that is unusual.
    pub consent: Consent,
}

/// What whoever hands a file over says on purpose. What is fetched says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Consent {
    /// Bytes that a later file superseded are to be in force again.
    pub restore: bool,
    /// A file without a row may take the place of one that has rows.
    pub allow_empty: bool,
    /// A file without a row of its day may take the place of one that has such rows.
    pub allow_other_day: bool,
    /// A bank statement may lack pages.
    pub allow_missing_pages: bool,
}

impl Announced {
    /// A hash of how the bytes are understood: the same bytes with another mapping are another file.
    pub fn reading_hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.format.to_value());
        hash.update([0]);
        hash.update(self.mapping.as_deref().unwrap_or_default());
        hex::encode(hash.finalize())
    }
}

/// What is known of a file once its bytes are on disk.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// Bytes as received.
    pub size: u64,
    /// Their SHA-256, lower-case hex.
    pub sha256: &'a str,
    /// What a reading of it found; a fetched file is first read when it is compared.
    pub inspection: Option<&'a Inspection>,
    /// Whether it says anything about its day.
    pub holds: &'a Holds,
    /// What it may do although that is unusual.
    pub consent: Consent,
}

/// What became of a file that was taken in.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The row that has the bytes: the new one, or the one that had them before.
    pub file: StoredFile,
    /// Whether the bytes were new.
    pub outcome: Outcome,
}

/// The three ways in which a file can arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The first of its day.
    New,
    /// Other bytes than the file in force, whose place it took.
    Correction,
    /// Bytes that were there already: the day's inputs are what they were.
    AlreadyKnown,
}

/// Notes that a file is wanted, before anything is asked of its source.
pub async fn announce(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    id: Uuid,
    new: &Announced,
) -> Result<StoredFile> {
    let now = app.context.now();
    let subject = &new.subject;
    let prefix = match subject.role {
        FileRole::Settlement => "SETTLE",
        FileRole::BalanceSummary => "BALANCE",
        FileRole::Platform => "PLATFORM",
        FileRole::BankStatement => "BANK",
        FileRole::Payouts => "PAYOUTS",
        FileRole::PayoutRows => "PAYROWS",
    };
    let random = app.context.random.as_ref();
    let row = StoredFile {
        id,
        file_no: readable_number(prefix, subject.channel.as_str(), subject.date, random),
        role: subject.role,
        channel: subject.channel,
        account: subject.account.clone(),
        settlement_date: subject.date,
        timezone: subject.timezone.clone(),
        status: FileStatus::Requested,
        source: new.source,
        format: new.format,
        mapping: new.mapping.clone(),
        reading_hash: new.reading_hash(),
        report_type: new.report_type.clone(),
        external_id: None,
        file_name: new.file_name.clone(),
        file_size: None,
        file_hash: None,
        record_count: None,
        reject_count: None,
        rejects: None,
        same_as: None,
        superseded_by: None,
        error_message: None,
        created_by: actor.id.clone(),
        created_at: now,
        updated_at: now,
        downloaded_at: None,
        day_record_count: None,
        covers_from: None,
        covers_to: None,
        bank_accounts: subject.bank_accounts.clone(),
        read_version: 0,
        read_after: None,
    };
    file::insert(tx, row).await.map_err(retry_unique)
}

/// Takes the bytes of an announced file in, already placed on disk. The same bytes change nothing; other
/// bytes supersede the file in force. Bytes that a later file had superseded are in force again when the source
/// itself gives them again, and not when somebody hands an old file over once more. A download never takes the place
/// of what a person handed over.
pub async fn take_in(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    row: &StoredFile,
    contents: &Contents<'_>,
) -> Result<Taken> {
    let (now, subject) = (app.context.now(), row.subject());
    file::lock_subject(tx, &subject).await?;
    let row = &file::by_id(tx.conn(), row.id).await?.unwrap_or_else(|| row.clone());
    let current = file::current(tx.conn(), &subject).await?;
    if row.status != FileStatus::Requested {
        return fetched_twice(row, current);
    }
    let handed_over = current
        .clone()
        .filter(|file| file.source == FileSource::Upload && row.source == FileSource::Download);
    if let Some(known) = file::with_content(tx.conn(), &subject, contents.sha256, &row.reading_hash).await? {
        file::update(tx, row.clone(), now, |file| {
            file.status = Set(FileStatus::Duplicate);
            file.same_as = Set(Some(known.id));
            file.file_hash = Set(Some(contents.sha256.to_owned()));
            file.file_size = Set(i64::try_from(contents.size).ok());
        })
        .await?;
        if let Some(in_force) = handed_over {
            return Ok(Taken { file: in_force, outcome: Outcome::AlreadyKnown });
        }
        if known.status == FileStatus::Superseded && row.source == FileSource::Download {
            return restore(app, tx, actor, known, contents, FileSource::Download).await;
        }
        return Ok(Taken { file: known, outcome: Outcome::AlreadyKnown });
    }
    if let Some(in_force) = handed_over {
        return step_back(app, tx, row, contents, in_force).await;
    }
    check_replacement(current.as_ref(), contents)?;
    let outcome = if current.is_some() { Outcome::Correction } else { Outcome::New };
    if let Some(old) = current {
        supersede(app, tx, old, row.id).await?;
    }
    let stored = file::update(tx, row.clone(), now, |file| {
        file.status = Set(FileStatus::Stored);
        file.file_hash = Set(Some(contents.sha256.to_owned()));
        file.file_size = Set(i64::try_from(contents.size).ok());
        if let Some(inspection) = contents.inspection {
            note(file, inspection);
        }
        file.downloaded_at = Set(Some(now));
    })
    .await
    .map_err(retry_unique)?;
    if let Some(inspection) = contents.inspection {
        bank_reversal::replace(tx, stored.id, &inspection.reversals).await?;
    }
    let detail = json!({ "sha256": contents.sha256, "correction": outcome == Outcome::Correction });
    record(app, tx, actor, "settlement_file.stored", &stored, detail).await?;
    Ok(Taken { file: stored, outcome })
}

/// Notes what a reading has found, and that it is this release's.
fn note(file: &mut file::ActiveModel, found: &Inspection) {
    file.record_count = Set(Some(found.rows));
    file.day_record_count = Set(Some(found.rows_of_day));
    file.reject_count = Set(Some(found.rejects));
    file.rejects = Set(Some(found.first_rejects.clone()));
    file.covers_from = Set(found.covers.map(|days| days.first));
    file.covers_to = Set(found.covers.map(|days| days.last));
    file.read_version = Set(catch_up::READING);
    file.read_after = Set(None);
    file.error_message = Set(None);
}

/// What became of a file in force that was read again.
#[derive(Debug)]
pub struct ReadAgain {
    /// The file as it is now.
    pub file: StoredFile,
    /// The one whose place it took, of the same bank accounts as are known now.
    pub replaced: Option<StoredFile>,
}

/// Keeps what a reading finds in a bank statement in force, locked, that an earlier release has read. That may not have known which
/// bank accounts it is about: of two files of the same ones that which came last is in force, and the same bytes are one file.
pub async fn read_again(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    row: StoredFile,
    found: &Inspection,
) -> Result<ReadAgain> {
    let subject = Subject { bank_accounts: found.bank_accounts.clone(), ..row.subject() };
    let (mut same_as, mut superseded_by, mut replaced) = (None, None, None);
    if subject != row.subject() {
        file::lock_subject(tx, &subject).await?;
        let hash = row.file_hash.as_deref().unwrap_or_default();
        same_as = file::with_content(tx.conn(), &subject, hash, &row.reading_hash).await?.map(|file| file.id);
        match file::current(tx.conn(), &subject).await?.filter(|_| same_as.is_none()) {
            Some(other) if other.downloaded_at > row.downloaded_at => superseded_by = Some(other.id),
            Some(other) => replaced = Some(supersede(app, tx, other, row.id).await?),
            None => {}
        }
    }
    let status = match (same_as, superseded_by) {
        (Some(_), _) => FileStatus::Duplicate,
        (None, Some(_)) => FileStatus::Superseded,
        (None, None) => FileStatus::Stored,
    };
    let file = file::update(tx, row, app.context.now(), |file| {
        note(file, found);
        file.bank_accounts = Set(subject.bank_accounts);
        file.status = Set(status);
        file.same_as = Set(same_as);
        file.superseded_by = Set(superseded_by);
    })
    .await
    .map_err(retry_unique)?;
    bank_reversal::replace(tx, file.id, &found.reversals).await?;
    let detail = json!({ "status": status, "bank_accounts": file.bank_accounts });
    record(app, tx, actor, "settlement_file.read_again", &file, detail).await?;
    Ok(ReadAgain { file, replaced })
}

/// Another fetch of the same row was first. What it brought is in force, or what that stepped back for.
fn fetched_twice(row: &StoredFile, current: Option<StoredFile>) -> Result<Taken> {
    let in_force = current.filter(|_| row.status != FileStatus::Failed).ok_or_else(|| {
        Error::unavailable(format!("the fetch of {} was given up meanwhile", row.file_no), ASK_AGAIN)
    })?;
    Ok(Taken { file: in_force, outcome: Outcome::AlreadyKnown })
}

/// Refuses to let a file take the place of one that has rows when it has none that could be read, or none of its day: a
/// day that had movements has not lost all of them. A source has failed, or somebody has picked the wrong file. What is
/// not known of a file in force that was not read yet is taken to be well.
pub fn check_replacement(in_force: Option<&StoredFile>, contents: &Contents<'_>) -> Result<()> {
    let Some(file) = in_force.filter(|file| file.record_count != Some(0)) else { return Ok(()) };
    let consent = contents.consent;
    match contents.holds {
        Holds::NoRow if !consent.allow_empty => Err(error::empty_replacement(file)),
        Holds::NothingReadable(first) => Err(error::unreadable_replacement(file, first)),
        Holds::RowsOfOtherDays if !consent.allow_other_day && file.day_record_count != Some(0) => {
            Err(error::file_of_another_day(file))
        }
        Holds::RowsOfItsDay | Holds::NoRow | Holds::RowsOfOtherDays => Ok(()),
    }
}

/// What a person handed over while the download was under way stays in force; the download is kept beside it.
async fn step_back(
    app: &Reconciliation,
    tx: &Tx,
    row: &StoredFile,
    contents: &Contents<'_>,
    in_force: StoredFile,
) -> Result<Taken> {
    let now = app.context.now();
    file::update(tx, row.clone(), now, |file| {
        file.status = Set(FileStatus::Superseded);
        file.superseded_by = Set(Some(in_force.id));
        file.file_hash = Set(Some(contents.sha256.to_owned()));
        file.file_size = Set(i64::try_from(contents.size).ok());
        file.downloaded_at = Set(Some(now));
    })
    .await
    .map_err(retry_unique)?;
    Ok(Taken { file: in_force, outcome: Outcome::AlreadyKnown })
}

/// Somebody hands over bytes that are there already. A file in force that was fetched is a person's from then on, so that
/// no download takes its place; a superseded one is put in force again where that is asked for.
pub async fn hand_over_again(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    known: StoredFile,
    contents: &Contents<'_>,
) -> Result<Taken> {
    let file = match (known.status, known.source) {
        (FileStatus::Superseded, _) if contents.consent.restore => {
            return restore(app, tx, actor, known, contents, FileSource::Upload).await;
        }
        (FileStatus::Stored, FileSource::Download) => {
            let file =
                file::update(tx, known, app.context.now(), |file| file.source = Set(FileSource::Upload))
                    .await?;
            record(app, tx, actor, "settlement_file.handed_over", &file, json!({})).await?;
            file
        }
        // Its bytes may have been lost, and are in their place again.
        (FileStatus::Stored, FileSource::Upload) if known.read_after.is_some() => {
            file::update(tx, known, app.context.now(), |file| file.read_after = Set(None)).await?
        }
        _ => known,
    };
    Ok(Taken { file, outcome: Outcome::AlreadyKnown })
}

/// Puts a superseded file in force again: its source gave it once more, or a person handed it over.
async fn restore(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    known: StoredFile,
    contents: &Contents<'_>,
    by: FileSource,
) -> Result<Taken> {
    let current = file::current(tx.conn(), &known.subject()).await?;
    check_replacement(current.as_ref(), contents)?;
    if let Some(old) = current {
        supersede(app, tx, old, known.id).await?;
    }
    let file = file::update(tx, known, app.context.now(), |file| {
        file.status = Set(FileStatus::Stored);
        file.superseded_by = Set(None);
        file.source = Set(by);
        if let Some(inspection) = contents.inspection {
            note(file, inspection);
        }
    })
    .await?;
    if let Some(inspection) = contents.inspection {
        bank_reversal::replace(tx, file.id, &inspection.reversals).await?;
    }
    record(app, tx, actor, "settlement_file.restored", &file, json!({ "source": by })).await?;
    Ok(Taken { file, outcome: Outcome::Correction })
}

async fn record(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    action: &str,
    file: &StoredFile,
    detail: Value,
) -> Result<()> {
    audit::record(tx, &app.context, actor, action, "settlement_file", &file.id.to_string(), detail).await
}

async fn supersede(app: &Reconciliation, tx: &Tx, old: StoredFile, by: Uuid) -> Result<StoredFile> {
    file::update(tx, old, app.context.now(), |file| {
        file.status = Set(FileStatus::Superseded);
        file.superseded_by = Set(Some(by));
    })
    .await
}

/// Takes a file out of force without another one in its place; 409 when it is not in force.
pub async fn withdraw(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    id: Uuid,
    why: &str,
) -> Result<StoredFile> {
    let row = file::lock(tx, id).await?.ok_or_else(|| error::file_not_found(&id.to_string()))?;
    if row.status != FileStatus::Stored {
        return Err(error::file_not_in_force(&row));
    }
    let file = file::update(tx, row, app.context.now(), |file| {
        file.status = Set(FileStatus::Superseded);
        file.error_message = Set(Some(format!("withdrawn by {}: {why}", actor.id)));
    })
    .await?;
    record(app, tx, actor, "settlement_file.withdrawn", &file, json!({ "note": why })).await?;
    Ok(file)
}

/// Notes that a file could not be fetched, and why. A file that another fetch of the same row has brought meanwhile
/// is left as it is.
pub async fn mark_failed(app: &Reconciliation, tx: &Tx, id: Uuid, why: &str) -> Result<()> {
    let Some(row) = file::lock(tx, id).await?.filter(|row| row.status == FileStatus::Requested) else {
        return Ok(());
    };
    file::update(tx, row, app.context.now(), |file| {
        file.status = Set(FileStatus::Failed);
        file.error_message = Set(Some(why.to_owned()));
    })
    .await?;
    Ok(())
}

/// Writes down, for a file that was first read when it was compared, what the reading found.
pub async fn note_reading(app: &Reconciliation, tx: &Tx, id: Uuid, found: &Inspection) -> Result<()> {
    let Some(row) = file::by_id(tx.conn(), id).await?.filter(|row| row.record_count.is_none()) else {
        return Ok(());
    };
    file::update(tx, row, app.context.now(), |file| {
        file.record_count = Set(Some(found.rows));
        file.day_record_count = Set(Some(found.rows_of_day));
        file.reject_count = Set(Some(found.rejects));
        file.rejects = Set(Some(found.first_rejects.clone()));
    })
    .await?;
    Ok(())
}

/// Asks for a file of a day outside of a task: the row, and the job that fetches it. A fetch of the same file
/// that is under way already is joined.
pub async fn request_download(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    subject: &Subject,
) -> Result<StoredFile> {
    let announced = inputs::download_of(app, subject)?;
    file::lock_subject(tx, subject).await?;
    let row = match file::requested(tx.conn(), subject).await? {
        Some(under_way) => under_way,
        None => announce(app, tx, actor, app.context.new_id(), &announced).await?,
    };
    let job = FetchFile { file_id: row.id };
    let options = EnqueueOptions::default().attempts(MOST_ATTEMPTS).unique(job.key());
    jobs::enqueue(tx, &app.context, &job, options).await?;
    Ok(row)
}
