//! Files that people hand over.

use std::sync::Arc;

use futures::FutureExt;
use payops_channels::read::Format;
use payops_platform::auth::Actor;
use payops_platform::error::{Error, Result};
use uuid::Uuid;

use crate::Reconciliation;
use crate::error;
use crate::file_store::Received;
use crate::formats::{self, Inspection};
use crate::model::{FileFormat, FileRole, FileStatus};
use crate::ops::files::{self, Announced, Outcome, Taken};
use crate::store::file;

/// Takes a received file in: reads it once, refuses it when nothing of it can be read, and reconciles the day
/// again when it corrects another. Returns the task that was started for that.
pub async fn take(
    app: &Reconciliation,
    actor: Actor,
    mut announced: Announced,
    received: Received,
) -> Result<(Taken, Option<Uuid>)> {
    let inspection = look(app, &mut announced, &received).await?;
    if inspection.rows == 0 && inspection.rejects > 0 {
        return Err(error::file_unreadable(&inspection.first_rejects));
    }
    store(app, actor, announced, &received, inspection).await
}

async fn look(app: &Reconciliation, announced: &mut Announced, received: &Received) -> Result<Inspection> {
    let mapping = announced.mapping.as_deref().map(formats::parse_mapping).transpose()?;
    let (app, path) = (app.clone(), received.place.path().to_owned());
    let (role, mut format) = (announced.subject.role, announced.format);
    let (inspection, format) = tokio::task::spawn_blocking(move || {
        if role == FileRole::Platform && mapping.is_none() && formats::is_ndjson(&app, &path)? {
            format = FileFormat::PlatformNdjson;
        }
        let reader = match (format, mapping) {
            (FileFormat::Mapped, Some(mapping)) => Some(Format::Mapped(mapping)),
            (FileFormat::StripeItemized, _) => Some(Format::StripeItemized),
            (FileFormat::PlatformCsv, _) => Some(Format::PlatformCsv),
            (FileFormat::PlatformNdjson, _) => Some(Format::PlatformNdjson),
            (FileFormat::StripeSummary | FileFormat::Mapped, _) => None,
        };
        formats::inspect(&app, &path, reader.as_ref()).map(|inspection| (inspection, format))
    })
    .await
    .map_err(Error::internal)??;
    announced.format = format;
    Ok(inspection)
}

async fn store(
    app: &Reconciliation,
    actor: Actor,
    announced: Announced,
    received: &Received,
    inspection: Inspection,
) -> Result<(Taken, Option<Uuid>)> {
    let (size, sha256) = (received.size, received.sha256.clone());
    let delivery = Delivery { actor, announced, size, sha256, inspection };
    delivery.check_before_placing(app).await?;
    app.files.place(received.place.path(), &delivery.announced.subject, &received.sha256).await?;
    let shared = Arc::new((app.clone(), delivery));
    app.context
        .db
        .write("reconciliation.upload_file", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, delivery) = &*shared;
                let subject = &delivery.announced.subject;
                let day = files::lock_day(tx, subject).await?;
                file::lock_subject(tx, subject).await?;
                let reading = delivery.announced.reading_hash();
                if let Some(file) = file::with_content(tx.conn(), subject, &delivery.sha256, &reading).await?
                {
                    if !delivery.announced.restore || file.status != FileStatus::Superseded {
                        return Ok((Taken { file, outcome: Outcome::AlreadyKnown }, None));
                    }
                    let taken = files::restore(app, tx, subject, file).await?;
                    let rerun = files::rerun_day(app, tx, &delivery.actor, day.as_deref()).await?;
                    return Ok((taken, rerun));
                }
                let row =
                    files::announce(app, tx, &delivery.actor, app.context.new_id(), &delivery.announced)
                        .await?;
                let contents = files::Contents {
                    size: delivery.size,
                    sha256: &delivery.sha256,
                    inspection: Some(&delivery.inspection),
                    unwanted_if_empty: delivery.is_empty() && !delivery.announced.allow_empty,
                };
                let taken = files::take_in(app, tx, &delivery.actor, &row, &contents).await?;
                let rerun = files::rerun_day(app, tx, &delivery.actor, day.as_deref()).await?;
                Ok((taken, rerun))
            }
            .boxed()
        })
        .await
}

/// An upload on its way into the database.
struct Delivery {
    actor: Actor,
    announced: Announced,
    size: u64,
    sha256: String,
    inspection: Inspection,
}

impl Delivery {
    fn is_empty(&self) -> bool {
        self.inspection.rows == 0 && self.inspection.rejects == 0
    }

    /// Refuses, before the file is in its place, what the transaction would refuse.
    async fn check_before_placing(&self, app: &Reconciliation) -> Result<()> {
        let (conn, subject) = (app.context.db.read(), &self.announced.subject);
        if !self.is_empty() || self.announced.allow_empty {
            return Ok(());
        }
        let reading = self.announced.reading_hash();
        match file::with_content(conn, subject, &self.sha256, &reading).await? {
            Some(_) => Ok(()),
            None => files::refuse_empty(file::current(conn, subject).await?.as_ref()),
        }
    }
}
