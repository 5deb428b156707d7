//! Files that people hand over.

use std::sync::Arc;

use futures::FutureExt;
use payops_channels::Mapping;
use payops_channels::read::Format;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::Reconciliation;
use crate::error;
use crate::file_store::Received;
use crate::formats::{self, Holds, Inspection, Look};
use crate::model::{FileFormat, FileRole};
use crate::ops::files::{self, Announced, Contents, Outcome, Taken};
use crate::ops::{bank_reversals, catch_up, days, watch};
use crate::store::file::{self, Model as StoredFile};

/// Takes a received file in: reads it once, refuses it when nothing of it can be read, and reconciles the day
/// again when it corrects another. Returns the tasks that were started for that.
pub async fn take(
    app: &Reconciliation,
    actor: Actor,
    mut announced: Announced,
    received: Received,
) -> Result<(Taken, Vec<Uuid>)> {
    let (inspection, holds) = look(app, &mut announced, &received).await?;
    if inspection.rows == 0 && inspection.rejects > 0 {
        return Err(error::file_unreadable(&inspection.first_rejects));
    }
    if inspection.is_cut_off {
        return Err(error::file_cut_off(&inspection.first_rejects));
    }
    if announced.subject.role == FileRole::BankStatement {
        catch_up::statements_of_day(app, &announced.subject).await?;
    }
    let (size, sha256) = (received.size, received.sha256.clone());
    store(app, Delivery { actor, announced, size, sha256, inspection, holds }, &received).await
}

async fn look(
    app: &Reconciliation,
    announced: &mut Announced,
    received: &Received,
) -> Result<(Inspection, Holds)> {
    let mapping = announced.mapping.as_deref().map(formats::parse_mapping).transpose()?;
    let (app, path) = (app.clone(), received.place.path().to_owned());
    let day = formats::day_of(&announced.subject)?;
    let (role, mut format) = (announced.subject.role, announced.format);
    let (found, format) = tokio::task::spawn_blocking(move || {
        if role == FileRole::Platform && mapping.is_none() && formats::is_ndjson(&app, &path)? {
            format = FileFormat::PlatformNdjson;
        }
        let look = match (format, mapping) {
            (FileFormat::Mapped, Some(mapping)) => Look::Rows(Format::Mapped(mapping)),
            (FileFormat::StripeItemized, _) if role == FileRole::PayoutRows => {
                Look::RowsOfAnyDay(Format::StripeItemized)
            }
            (FileFormat::StripeItemized, _) => Look::Rows(Format::StripeItemized),
            (FileFormat::StripePayouts, _) => Look::Rows(Format::Mapped(Mapping::stripe_payouts())),
            (FileFormat::PlatformCsv, _) => Look::Rows(Format::PlatformCsv),
            (FileFormat::PlatformNdjson, _) => Look::Rows(Format::PlatformNdjson),
            (FileFormat::StripeSummary | FileFormat::Mapped, _) => Look::Balances,
            (FileFormat::Bank, _) => Look::Bank,
        };
        formats::inspect(&app, &path, &look, day).map(|found| (found, format))
    })
    .await
    .map_err(Error::internal)??;
    announced.format = format;
    announced.subject.bank_accounts.clone_from(&found.0.bank_accounts);
    Ok(found)
}

async fn store(app: &Reconciliation, delivery: Delivery, received: &Received) -> Result<(Taken, Vec<Uuid>)> {
    delivery.check_before_placing(app).await?;
    app.files.place(received.place.path(), &delivery.announced.subject, &received.sha256).await?;
    let shared = Arc::new((app.clone(), delivery));
    app.context
        .db
        .write("reconciliation.upload_file", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, delivery) = &*shared;
                let (actor, subject) = (&delivery.actor, &delivery.announced.subject);
                let waiting = days::lock(tx, subject, delivery.inspection.covers).await?;
                file::lock_subject(tx, subject).await?;
                let replaced = file::current(tx.conn(), subject).await?;
                let contents = delivery.contents();
                let taken = if let Some(known) = delivery.known(tx).await? {
                    files::hand_over_again(app, tx, actor, known, &contents).await?
                } else {
                    let id = app.context.new_id();
                    let row = files::announce(app, tx, actor, id, &delivery.announced).await?;
                    files::take_in(app, tx, actor, &row, &contents).await?
                };
                let codes = waiting.iter().filter_map(|task| task.error_code.as_deref());
                let waited = codes.into_iter().any(error::is_cured_by_the_same_file);
                if taken.outcome == Outcome::AlreadyKnown && !waited {
                    return Ok((taken, Vec::new()));
                }
                if subject.role == FileRole::BankStatement {
                    bank_reversals::look_later(app, tx, &taken.file, replaced.as_ref()).await?;
                }
                let rerun = days::file_has_come(app, tx, actor, (subject.role, waiting)).await?;
                Ok((taken, rerun))
            }
            .boxed()
        })
        .await
}

/// Takes a bank statement out of force, since it is none of the day's: days that rest on it are started again, as if it had never
/// come. The same bytes put it in force again where they are handed over to be restored. Returns the tasks that were started.
pub async fn withdraw(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    (file_no, note): (&str, &str),
) -> Result<(StoredFile, Vec<Uuid>)> {
    let file = file::by_number(tx.conn(), file_no).await?;
    if file.role != FileRole::BankStatement {
        return Err(error::file_not_withdrawable(&file));
    }
    let waiting = days::lock(tx, &file.subject(), file.covers()).await?;
    let file = files::withdraw(app, tx, actor, file.id, note).await?;
    bank_reversals::look_later(app, tx, &file, None).await?;
    watch::file_is_gone(app, tx, &file.subject()).await?;
    let rerun = days::file_has_come(app, tx, actor, (file.role, waiting)).await?;
    Ok((file, rerun))
}

/// An upload on its way into the database.
struct Delivery {
    actor: Actor,
    announced: Announced,
    size: u64,
    sha256: String,
    inspection: Inspection,
    holds: Holds,
}

impl Delivery {
    fn contents(&self) -> Contents<'_> {
        Contents {
            size: self.size,
            sha256: &self.sha256,
            inspection: Some(&self.inspection),
            holds: &self.holds,
            consent: self.announced.consent,
        }
    }

    /// The file that has these bytes already.
    async fn known(&self, conn: &impl ConnectionTrait) -> Result<Option<StoredFile>> {
        let reading = self.announced.reading_hash();
        file::with_content(conn, &self.announced.subject, &self.sha256, &reading).await
    }

    /// Refuses, before the file is in its place, what the transaction would refuse.
    async fn check_before_placing(&self, app: &Reconciliation) -> Result<()> {
        let conn = app.context.db.read();
        if self.known(conn).await?.is_some() {
            return Ok(());
        }
        if !self.inspection.parts.is_empty() && !self.announced.consent.allow_missing_pages {
            return Err(error::bank_pages_missing(&self.inspection.parts));
        }
        let in_force = file::current(conn, &self.announced.subject).await?;
        files::check_replacement(in_force.as_ref(), &self.contents())?;
        // Nothing of a statement tells its day but this, and it would stand for one that is expected then.
        let date = self.announced.subject.date;
        match self.inspection.covers.filter(|days| !days.contains(date)) {
            Some(days) if !self.announced.consent.allow_other_day => {
                Err(error::statement_of_other_days(date, days))
            }
            _ => Ok(()),
        }
    }
}
