//! Taking files in: each is known by its content, and a corrected one takes the place of the old.

use payops_core::id::readable_number;
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::Result;
use payops_platform::jobs::{self, EnqueueOptions};
use sea_orm::ActiveEnum;
use sea_orm::ActiveValue::Set;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Reconciliation;
use crate::error;
use crate::formats::Inspection;
use crate::jobs::{FetchFile, MOST_ATTEMPTS};
use crate::model::{FileFormat, FileRole, FileSource, FileStatus, TaskStatus};
use crate::ops::inputs;
use crate::ops::tasks::{self, retry_unique};
use crate::store::file::{self, Model as StoredFile, Subject};
use crate::store::task::{self, Model as Task};

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
    /// Whether bytes that a later file superseded are to be in force again.
    pub restore: bool,
    /// Whether a file without a row may take the place of one that has rows.
    pub allow_empty: bool,
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
    /// Whether it has no row, and nobody said that it may take the place of a file that has some.
    pub unwanted_if_empty: bool,
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
    /// Bytes that were there already: nothing changed.
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
    if row.status != FileStatus::Requested {
        // Another run fetched the same announced file meanwhile and was first.
        return Ok(Taken { file: row.clone(), outcome: Outcome::AlreadyKnown });
    }
    let current = file::current(tx.conn(), &subject).await?;
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
            if contents.unwanted_if_empty {
                refuse_empty(current.as_ref())?;
            }
            return restore(app, tx, &subject, known).await;
        }
        return Ok(Taken { file: known, outcome: Outcome::AlreadyKnown });
    }
    if let Some(in_force) = handed_over {
        return step_back(app, tx, row, contents, in_force).await;
    }
    if contents.unwanted_if_empty {
        refuse_empty(current.as_ref())?;
    }
    let outcome = if current.is_some() { Outcome::Correction } else { Outcome::New };
    if let Some(old) = current {
        supersede(app, tx, old, row.id).await?;
    }
    let stored = file::update(tx, row.clone(), now, |file| {
        file.status = Set(FileStatus::Stored);
        file.file_hash = Set(Some(contents.sha256.to_owned()));
        file.file_size = Set(i64::try_from(contents.size).ok());
        if let Some(inspection) = contents.inspection {
            file.record_count = Set(Some(inspection.rows));
            file.reject_count = Set(Some(inspection.rejects));
            file.rejects = Set(Some(inspection.first_rejects.clone()));
        }
        file.downloaded_at = Set(Some(now));
    })
    .await
    .map_err(retry_unique)?;
    let detail = json!({ "sha256": contents.sha256, "correction": outcome == Outcome::Correction });
    let id = stored.id.to_string();
    audit::record(tx, &app.context, actor, "settlement_file.stored", "settlement_file", &id, detail).await?;
    Ok(Taken { file: stored, outcome })
}

/// Refuses to let a file without a row take the place of one that has rows: a day that had movements has not lost
/// all of them, a source has failed. A file in force that was not read yet is taken to have rows.
pub fn refuse_empty(in_force: Option<&StoredFile>) -> Result<()> {
    match in_force.filter(|file| file.record_count != Some(0)) {
        Some(file) => Err(error::empty_replacement(file)),
        None => Ok(()),
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

/// Puts a superseded file in force again.
pub async fn restore(app: &Reconciliation, tx: &Tx, subject: &Subject, known: StoredFile) -> Result<Taken> {
    if let Some(old) = file::current(tx.conn(), subject).await? {
        supersede(app, tx, old, known.id).await?;
    }
    let file = file::update(tx, known, app.context.now(), |file| {
        file.status = Set(FileStatus::Stored);
        file.superseded_by = Set(None);
    })
    .await?;
    Ok(Taken { file, outcome: Outcome::Correction })
}

async fn supersede(app: &Reconciliation, tx: &Tx, old: StoredFile, by: Uuid) -> Result<()> {
    file::update(tx, old, app.context.now(), |file| {
        file.status = Set(FileStatus::Superseded);
        file.superseded_by = Set(Some(by));
    })
    .await?;
    Ok(())
}

/// The task that holds the day of a file, locked, so that a run that is just ending and a file that is just
/// coming see one another: whichever is second starts the day again.
pub async fn lock_day(tx: &Tx, subject: &Subject) -> Result<Option<Locked<Task>>> {
    let day = (subject.date, subject.timezone.as_str());
    match task::holding(tx.conn(), day, subject.channel, &subject.account).await? {
        Some(task) => task::lock(tx, task.id).await.map(Some),
        None => Ok(None),
    }
}

/// Reconciles the day of a file again, when it was reconciled before. A run in progress notices by itself, when
/// it ends, that a file it used is no longer in force.
pub async fn rerun_day(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    task: Option<&Task>,
) -> Result<Option<Uuid>> {
    match task {
        Some(task) if task.status == TaskStatus::Completed => {
            tasks::execute(app, tx, actor, task.id).await.map(|task| Some(task.id))
        }
        _ => Ok(None),
    }
}

/// Whether a file that a run used was superseded meanwhile.
pub async fn any_superseded(tx: &Tx, used: &[Option<Uuid>]) -> Result<bool> {
    for id in used.iter().flatten() {
        let file = file::by_id(tx.conn(), *id).await?;
        if file.is_some_and(|file| file.status == FileStatus::Superseded) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes that a file could not be fetched, and why. A file that another fetch of the same row has brought meanwhile
/// is left as it is.
pub async fn mark_failed(app: &Reconciliation, tx: &Tx, row: StoredFile, why: &str) -> Result<()> {
    let row = file::by_id(tx.conn(), row.id).await?.filter(|row| row.status == FileStatus::Requested);
    let Some(row) = row else { return Ok(()) };
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
