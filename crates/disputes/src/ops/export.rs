//! Lists of disputes as CSV.

use bytes::Bytes;
use futures::{Stream, TryStreamExt, stream};
use payops_platform::error::{Error, Result};
use sea_orm::ActiveEnum;

use crate::Disputes;
use crate::store::dispute::{self, Cursor, Filter, Model as Dispute};

/// How many disputes one read fetches.
const AT_ONCE: u64 = 500;

/// The columns, in order.
const COLUMNS: [&str; 22] = [
    "dispute_no",
    "id",
    "channel",
    "channel_dispute_id",
    "payment_no",
    "merchant_id",
    "amount",
    "currency",
    "reason",
    "network_reason_code",
    "phase",
    "status",
    "result",
    "lost_cause",
    "evidence_due_by",
    "evidence_submitted",
    "submitted_at",
    "assigned_to",
    "doubt",
    "disputed_at",
    "closed_at",
    "created_at",
];

/// The disputes that a filter lets through, the newest first, as CSV (RFC 4180, UTF-8). An error cuts the connection, so
/// that half a list is never taken for a whole one.
pub(crate) fn csv(app: &Disputes, filter: Filter) -> impl Stream<Item = Result<Bytes>> + use<> {
    let head = stream::once(async { Ok(Bytes::from(COLUMNS.join(",") + "\r\n")) });
    let app = app.clone();
    let rows = stream::try_unfold(None::<Cursor>, move |after| {
        let (app, filter) = (app.clone(), filter.clone());
        async move {
            let rows = dispute::walk(app.context.db.read(), &filter, after.as_ref(), AT_ONCE).await?;
            let Some(last) = rows.last() else { return Ok(None) };
            let next = Some(Cursor::of(last));
            Ok(Some((lines(&rows)?, next)))
        }
    });
    let all = stream::StreamExt::chain(head, rows);
    all.inspect_err(|error| tracing::error!(%error, "an export of disputes breaks off"))
}

fn lines(rows: &[Dispute]) -> Result<Bytes> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(fields(row)).map_err(Error::internal)?;
    }
    writer.into_inner().map(Bytes::from).map_err(|error| Error::internal(error.to_string()))
}

fn fields(row: &Dispute) -> [String; 22] {
    let text = |value: &Option<String>| harmless(value.as_deref().unwrap_or_default());
    let time =
        |value: Option<payops_core::time::Timestamp>| value.map(|at| at.to_rfc3339()).unwrap_or_default();
    let word = |value: Option<String>| value.unwrap_or_default();
    [
        row.dispute_no.clone(),
        row.id.to_string(),
        row.channel.to_value(),
        text(&row.channel_dispute_id),
        text(&row.payment_no),
        word(row.merchant_id.map(|id| id.to_string())),
        row.amount.to_string(),
        row.currency.clone(),
        harmless(&row.reason),
        text(&row.network_reason_code),
        row.phase.to_value(),
        row.status.to_value(),
        word(row.result.map(|result| result.to_value())),
        word(row.lost_cause.map(|cause| cause.to_value())),
        time(row.evidence_due_by),
        row.evidence_submitted.to_string(),
        time(row.submitted_at),
        text(&row.assigned_to),
        word(row.doubt.map(|doubt| doubt.to_value())),
        time(Some(row.disputed_at)),
        time(row.closed_at),
        time(Some(row.created_at)),
    ]
}

/// A text that a spreadsheet would run as a formula gets an apostrophe in front: numbers and reasons come from outside.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
