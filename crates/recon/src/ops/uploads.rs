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
    let result = async {
        let inspection = look(app, &mut announced, &received).await?;
        if inspection.rows == 0 && inspection.rejects > 0 {
            return Err(error::file_unreadable(&inspection.first_rejects));
        }
        store(app, actor, announced, &received, inspection).await
    }
    .await;
    if result.is_err() {
        app.files.discard(&received.path).await;
    }
    result
}

async fn look(app: &Reconciliation, announced: &mut Announced, received: &Received) -> Result<Inspection> {
    let mapping = announced.mapping.as_deref().map(formats::parse_mapping).transpose()?;
    let (app, path) = (app.clone(), received.path.clone());
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
    app.files.place(&received.path, &announced.subject, &received.sha256).await?;
    let delivery =
        Delivery { actor, announced, size: received.size, sha256: received.sha256.clone(), inspection };
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
