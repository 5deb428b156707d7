//! What other limits would have done to a period that is over.

use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::error::{Error, Result};
use uuid::Uuid;

use super::limits::Edit;
use super::view::{Seen, look};
use crate::Limits;
use crate::error;
use crate::replay::{Replay, Report};
use crate::store::log::Stretch;
use crate::store::{overrides, tier};

/// The most rows of a log that one question goes through.
const MOST_ROWS: i64 = 250_000;
/// How many rows are in memory at once.
const ROWS_AT_ONCE: u64 = 1000;

/// Other limits, and the period that they are held against.
#[derive(Debug, Clone)]
pub(crate) struct Proposal {
    /// Another tier; `None` is the merchant's.
    pub(crate) tier: Option<tier::Name>,
    /// Other limits of the merchant's own.
    pub(crate) edit: Edit,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// Replays a period of a merchant's log against a proposal. Nothing is written.
pub(crate) async fn replay(app: &Limits, merchant_id: Uuid, proposal: Proposal) -> Result<(Seen, Report)> {
    look(app, move |look| {
        async move {
            let mut seen = look.merchant(merchant_id).await?;
            if let Some(wanted) = &proposal.tier {
                let wanted = tier::find(look.conn, wanted).await?;
                if wanted.currency != seen.tier.currency {
                    let (usage, terms) = (&seen.account.usage, &seen.account.terms);
                    return Err(error::currency_differs(&seen.tier.currency, &wanted.currency, usage, terms));
                }
                seen.tier = wanted;
            }
            let period = (Some(proposal.from), Some(proposal.to));
            let stretch = Stretch::find(look.conn, merchant_id, seen.limit.seq, period).await?;
            if stretch.most_rows() > MOST_ROWS {
                return Err(error::period_too_long(stretch.most_rows(), MOST_ROWS));
            }
            let mut account = seen.limit.account_row(&seen.tier).account()?;
            account.terms.custom = proposal.edit.custom(account.terms.custom);
            account.terms.overrides =
                overrides::during(look.conn, merchant_id, proposal.from, proposal.to).await?;
            let mut replay = Replay::new(account);
            let mut last = 0;
            loop {
                let rows = stretch.after(look.conn, last, ROWS_AT_ONCE).await?;
                let Some(row) = rows.last() else { break };
                last = row.seq;
                for row in &rows {
                    replay.take(row).map_err(Error::internal)?;
                }
            }
            Ok((seen, replay.report()))
        }
        .boxed()
    })
    .await
}
