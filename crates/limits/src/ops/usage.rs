//! What a merchant has used, and what became of one payment.

use futures::FutureExt;
use payops_core::page::{Page, PageRequest};
use payops_core::time::Timestamp;
use payops_platform::error::Result;
use uuid::Uuid;

use super::view::{Seen, look};
use crate::Limits;
use crate::decide::Refusal;
use crate::error;
use crate::model::{Payment, Release};
use crate::store::hot;
use crate::store::log::{Filter, Model as LogRow, Stretch};

/// The most rows of the log that are shown of one payment: its own few, and its releases.
const MOST_OF_PAYMENT: u64 = 1000;

/// `[from, to)`; `None` is an open end.
pub(crate) type Period = (Option<Timestamp>, Option<Timestamp>);

/// A page of a merchant's log, the newest first.
pub(crate) async fn history(
    app: &Limits,
    merchant_id: Uuid,
    (filter, period): (Filter, Period),
    request: PageRequest<i64>,
) -> Result<Page<LogRow>> {
    look(app, move |look| {
        async move {
            let seen = look.merchant(merchant_id).await?;
            let stretch = Stretch::find(look.conn, merchant_id, seen.limit.seq, period).await?;
            stretch.list(look.conn, &filter, &request).await
        }
        .boxed()
    })
    .await
}

/// A merchant, and how its payments of a period were decided.
pub(crate) struct Statistics {
    pub(crate) seen: Seen,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) allowed: i64,
    pub(crate) refused: i64,
}

/// Counts a period; its month up to now where the ends are not named.
pub(crate) async fn statistics(app: &Limits, merchant_id: Uuid, (from, to): Period) -> Result<Statistics> {
    look(app, move |look| {
        async move {
            let seen = look.merchant(merchant_id).await?;
            let from = from.unwrap_or(seen.account.usage.month.start);
            let to = to.unwrap_or(seen.account.usage.month.end);
            let stretch =
                Stretch::find(look.conn, merchant_id, seen.limit.seq, (Some(from), Some(to))).await?;
            let (allowed, refused) = stretch.decisions(look.conn).await?;
            Ok(Statistics { seen, from, to, allowed, refused })
        }
        .boxed()
    })
    .await
}

/// One payment with everything that happened to it.
pub(crate) struct PaymentHistory {
    pub(crate) payment: Payment,
    pub(crate) releases: Vec<Release>,
    pub(crate) log: Vec<LogRow>,
    pub(crate) now: Timestamp,
}

/// What is held for one payment, or 404.
pub(crate) async fn payment(app: &Limits, merchant_id: Uuid, payment_no: String) -> Result<PaymentHistory> {
    look(app, move |look| {
        async move {
            let seen = look.merchant(merchant_id).await?;
            let payment = hot::payment(&look.source(), merchant_id, &payment_no).await?;
            let payment = payment.ok_or_else(|| error::refused(&Refusal::UnknownPayment))?;
            let releases = hot::releases(&look.source(), merchant_id, &payment_no).await?;
            // The log has no index of payments; it is read where the payment lived.
            let end = payment.updated_at.checked_add_signed(chrono::TimeDelta::microseconds(1));
            let lived = (Some(payment.created_at), end);
            let stretch = Stretch::find(look.conn, merchant_id, seen.limit.seq, lived).await?;
            let log = stretch.of_payment(look.conn, &payment_no, MOST_OF_PAYMENT).await?;
            Ok(PaymentHistory { payment, releases, log, now: seen.now })
        }
        .boxed()
    })
    .await
}
