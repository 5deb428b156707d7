//! Exchange rates: what an amount of one currency counts in another.

use payops_core::currency::Currency;
use payops_platform::error::Result;
use serde_json::json;

use super::{Change, retry_unique};
use crate::rate::Rate;
use crate::store::rate::{self, Model};

/// The rate of a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRate {
    pub(crate) from: Currency,
    pub(crate) to: Currency,
    pub(crate) rate: Rate,
}

/// Puts rates in force, all of them or none, and gives them as they are in force. A pair whose rate is the same keeps its
/// id; other rates are kept as history. Payments that were counted stay counted at the rate of then.
pub(crate) async fn put(by: &Change<'_>, rates: &[NewRate]) -> Result<Vec<Model>> {
    // One order of locks, whoever comes.
    let mut rates = rates.to_vec();
    rates.sort_unstable_by_key(|new| (new.from, new.to));
    let mut in_force = Vec::with_capacity(rates.len());
    for new in rates {
        let (from, to, text) = (new.from.to_string(), new.to.to_string(), new.rate.to_string());
        let before = rate::lock(by.tx, &from, &to).await?;
        if let Some(same) = before.as_ref().filter(|before| before.rate == text) {
            in_force.push(same.clone());
            continue;
        }
        if let Some(before) = &before {
            rate::retire(by.tx, before.id).await?;
        }
        let added = Model {
            id: by.app.context.new_id(),
            from_currency: from,
            to_currency: to,
            rate: text,
            in_force: true,
            created_by: by.actor.id.clone(),
            created_at: by.app.context.now(),
        };
        // Two admins at once: the second begins anew and puts the first one's rate out of force.
        let added = rate::insert(by.tx, added).await.map_err(retry_unique)?;
        let detail = json!({
            "from_currency": added.from_currency,
            "to_currency": added.to_currency,
            "rate": added.rate,
            "before": before.map(|before| before.rate),
        });
        by.audit("limit_rate.set", "limit_rate", added.id, detail).await?;
        in_force.push(added);
    }
    Ok(in_force)
}
