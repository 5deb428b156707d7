//! Tiers: what a group of merchants may do.

use payops_platform::error::Result;
use payops_platform::jobs::{self, EnqueueOptions};
use serde_json::json;
use uuid::Uuid;

use super::{Change, retry_unique};
use crate::error;
use crate::jobs::RecountAlerts;
use crate::store::tier::{self, Model as Tier};

/// Makes a tier of `new`, whose id, version and times are given here. 409 for a code that is taken.
pub(crate) async fn create(by: &Change<'_>, new: Tier) -> Result<Tier> {
    refuse_taken(by, &new).await?;
    let now = by.app.context.now();
    let new = Tier { id: by.app.context.new_id(), version: 1, created_at: now, updated_at: now, ..new };
    let tier = tier::insert(by.tx, new).await.map_err(retry_unique)?;
    by.audit("merchant_tier.created", "merchant_tier", tier.id, terms(&tier)).await?;
    Ok(tier)
}

/// Writes what `change` does to a tier. What its merchants have used stays; another currency is refused while it has
/// merchants. Decisions that begin after the answer know the new tier.
pub(crate) async fn update(by: &Change<'_>, id: Uuid, change: impl FnOnce(&mut Tier)) -> Result<Tier> {
    let locked = tier::lock(by.tx, id).await?;
    by.if_match.check(locked.version)?;
    let before = (*locked).clone();
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return Ok(before);
    }
    if after.tier_code != before.tier_code {
        refuse_taken(by, &after).await?;
    }
    if after.currency != before.currency {
        refuse_in_use(by, id).await?;
    }
    let now = by.app.context.now();
    let tier = tier::update(by.tx, &locked, after, now).await.map_err(retry_unique)?;
    let counts = |tier: &Tier| (tier.daily_limit, tier.monthly_limit, tier.alert_thresholds.clone());
    if counts(&tier) != counts(&before) {
        let job = RecountAlerts { tier_id: id, version: tier.version };
        jobs::enqueue(by.tx, &by.app.context, &job, EnqueueOptions::default().unique(job.key())).await?;
    }
    let detail = json!({ "before": terms(&before), "after": terms(&tier) });
    by.audit("merchant_tier.changed", "merchant_tier", id, detail).await?;
    Ok(tier)
}

/// Removes a tier that no merchant has.
pub(crate) async fn delete(by: &Change<'_>, id: Uuid) -> Result<()> {
    let locked = tier::lock(by.tx, id).await?;
    by.if_match.check(locked.version)?;
    refuse_in_use(by, id).await?;
    tier::delete(by.tx, &locked).await?;
    by.audit("merchant_tier.deleted", "merchant_tier", id, terms(&locked)).await
}

async fn refuse_taken(by: &Change<'_>, wanted: &Tier) -> Result<()> {
    let name = tier::Name::Code(wanted.tier_code.clone());
    match tier::seek(by.tx, &name).await? {
        Some(holder) => Err(error::tier_exists(&holder)),
        None => Ok(()),
    }
}

async fn refuse_in_use(by: &Change<'_>, id: Uuid) -> Result<()> {
    match tier::merchants(by.tx, id).await? {
        0 => Ok(()),
        merchants => Err(error::tier_in_use(merchants)),
    }
}

/// What binds merchants, for the audit log.
fn terms(tier: &Tier) -> serde_json::Value {
    json!({
        "tier_code": tier.tier_code,
        "tier_level": tier.tier_level,
        "currency": tier.currency,
        "daily_limit": tier.daily_limit,
        "monthly_limit": tier.monthly_limit,
        "single_trans_limit": tier.single_trans_limit,
        "transaction_fee_ten_thousandths": tier.transaction_fee_rate,
        "withdrawal_fee_ten_thousandths": tier.withdrawal_fee_rate,
        "allowed_channels": tier.allowed_channels,
        "allowed_currencies": tier.allowed_currencies,
        "max_api_calls_per_min": tier.max_api_calls_per_min,
        "alert_thresholds": tier.alert_thresholds,
    })
}
