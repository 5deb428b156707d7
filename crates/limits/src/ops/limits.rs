//! What binds one merchant: initialize, edit, move to another tier, suspend.
//!
//! Each of these locks the merchant's row as a decision does, brings its windows up to the present, changes what binds it
//! and never what it has used, and tells the thresholds that stand elsewhere since.

use chrono::{DateTime, Utc};
use payops_core::time::{Timestamp, Zone};
use payops_platform::db::Locked;
use payops_platform::error::{Error, Result};
use sea_orm::ActiveValue::Set;
use serde_json::{Value, json};
use uuid::Uuid;

use super::view::Seen;
use super::{Change, retry_unique};
use crate::batch::{self, Effects};
use crate::decide::{Account, Action, Operation, update_alerts};
use crate::error;
use crate::model::{Limits, Override};
use crate::patch::Patch;
use crate::store::hot::{self, Source};
use crate::store::limit::{self, ActiveModel, Model};
use crate::store::tier;
use crate::window::Period;

/// How a merchant begins.
#[derive(Debug, Clone)]
pub(crate) struct Beginning {
    pub(crate) merchant_id: Uuid,
    pub(crate) tier: tier::Name,
    pub(crate) zone: Zone,
    /// The merchant's own limits; `None` is the tier's.
    pub(crate) custom: Limits,
}

/// Gives a merchant limits. 409 when it has some.
pub(crate) async fn initialize(by: &Change<'_>, new: &Beginning) -> Result<Seen> {
    if let Some(present) = limit::find(by.tx, new.merchant_id).await? {
        return Err(error::limit_exists(&present));
    }
    let tier = tier::hold(by.tx, &new.tier).await?;
    let now = hot::now(&Source::reading(by.tx, by.tx.backend()), &by.app.lookup).await?;
    let span = |period: Period| period.holding(&new.zone, now).map_err(Error::internal);
    let (day, month) = (span(Period::Day)?, span(Period::Month)?);
    let row = Model {
        merchant_id: new.merchant_id,
        id: by.app.context.new_id(),
        tier_id: tier.id,
        timezone: new.zone.name().to_owned(),
        day_start: day.start,
        daily_reset_at: day.end,
        month_start: month.start,
        monthly_reset_at: month.end,
        custom_daily_limit: new.custom.daily,
        custom_monthly_limit: new.custom.monthly,
        custom_single_trans_limit: new.custom.single_trans,
        created_at: now,
        updated_at: now,
        ..blank()
    };
    // Lost a race: the next try sees the limits of the other.
    let limit = limit::insert(by.tx, row).await.map_err(retry_unique)?;
    let detail =
        json!({ "tier_code": tier.tier_code, "timezone": limit.timezone, "custom": customs(&limit) });
    by.audit("merchant_limit.initialized", OBJECT, limit.merchant_id, detail).await?;
    let account = limit.account_row(&tier).account()?;
    Ok(Seen { limit, tier, account, now })
}

/// What is edited of a merchant. `None` is the tier's limit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edit {
    pub(crate) daily: Patch<Option<i64>>,
    pub(crate) monthly: Patch<Option<i64>>,
    pub(crate) single_trans: Patch<Option<i64>>,
    /// Holds from the next window on.
    pub(crate) zone: Option<Zone>,
}

impl Edit {
    /// The merchant's own limits afterwards.
    pub(crate) fn custom(&self, before: Limits) -> Limits {
        Limits {
            daily: self.daily.or(before.daily),
            monthly: self.monthly.or(before.monthly),
            single_trans: self.single_trans.or(before.single_trans),
        }
    }
}

/// Edits a merchant's own limits and its zone.
pub(crate) async fn edit(by: &Change<'_>, merchant_id: Uuid, edit: &Edit) -> Result<Seen> {
    let opened = open(by, merchant_id).await?;
    let custom = edit.custom(opened.account.terms.custom);
    let zone = edit.zone.as_ref().map_or(opened.limit.timezone.as_str(), Zone::name).to_owned();
    if custom == opened.account.terms.custom && zone == opened.limit.timezone {
        return opened.unchanged(by).await;
    }
    let before = json!({ "custom": customs(&opened.limit), "timezone": opened.limit.timezone });
    let change = |row: &mut ActiveModel| {
        row.custom_daily_limit = Set(custom.daily);
        row.custom_monthly_limit = Set(custom.monthly);
        row.custom_single_trans_limit = Set(custom.single_trans);
        row.timezone = Set(zone);
    };
    let seen = opened.close(by, None, change).await?;
    let after = json!({ "custom": customs(&seen.limit), "timezone": seen.limit.timezone });
    let detail = json!({ "before": before, "after": after });
    by.audit("merchant_limit.changed", OBJECT, merchant_id, detail).await?;
    Ok(seen)
}

/// Moves a merchant to another tier; its own limits, overrides and usage stay. 409 for a tier in another currency while
/// there is anything in the present one.
pub(crate) async fn change_tier(by: &Change<'_>, merchant_id: Uuid, wanted: &tier::Name) -> Result<Seen> {
    let opened = open(by, merchant_id).await?;
    let tier = tier::hold(by.tx, wanted).await?;
    if tier.id == opened.tier.id {
        return opened.unchanged(by).await;
    }
    if tier.currency != opened.tier.currency {
        opened.refuse_counted(&tier)?;
    }
    let (from, to) = (opened.tier.tier_code.clone(), tier.clone());
    let seen = opened.close(by, Some(tier), |row| row.tier_id = Set(to.id)).await?;
    let detail = json!({ "from": from, "to": to.tier_code });
    by.audit("merchant_limit.tier_changed", OBJECT, merchant_id, detail).await?;
    Ok(seen)
}

/// Suspends a merchant: once this is committed, nothing more is approved.
pub(crate) async fn suspend(by: &Change<'_>, merchant_id: Uuid, reason: &str) -> Result<Seen> {
    let opened = open(by, merchant_id).await?;
    if opened.limit.is_suspended {
        return Err(error::already_suspended(&opened.limit));
    }
    let now: DateTime<Utc> = opened.now;
    let change = |row: &mut ActiveModel| {
        row.is_suspended = Set(true);
        row.suspended_reason = Set(Some(reason.to_owned()));
        row.suspended_at = Set(Some(now));
    };
    let seen = opened.close(by, None, change).await?;
    by.audit("merchant_limit.suspended", OBJECT, merchant_id, json!({ "reason": reason })).await?;
    Ok(seen)
}

/// Ends a suspension.
pub(crate) async fn unsuspend(by: &Change<'_>, merchant_id: Uuid, reason: Option<&str>) -> Result<Seen> {
    let opened = open(by, merchant_id).await?;
    if !opened.limit.is_suspended {
        return Err(error::not_suspended());
    }
    let change = |row: &mut ActiveModel| {
        row.is_suspended = Set(false);
        row.suspended_reason = Set(None);
        row.suspended_at = Set(None);
    };
    let was = opened.limit.suspended_reason.clone();
    let seen = opened.close(by, None, change).await?;
    let detail = json!({ "reason": reason, "was_suspended_for": was });
    by.audit("merchant_limit.unsuspended", OBJECT, merchant_id, detail).await?;
    Ok(seen)
}

/// Brings a merchant's thresholds up to limits that were changed elsewhere, and gives the time of it. Nothing happens to
/// one without limits.
pub(crate) async fn recount(
    app: &crate::Limits,
    tx: &payops_platform::db::Tx,
    merchants: &[Uuid],
) -> Result<Timestamp> {
    let sweeps: Vec<Operation> = merchants.iter().map(|merchant| sweep(*merchant)).collect();
    let (mut loaded, now) = hot::load(tx, merchants, &app.lookup).await?;
    let (_, mut effects) = batch::decide(&mut loaded, &sweeps, now);
    effects.usages.clear();
    for merchant in merchants {
        if let Some(account) = loaded.accounts.get_mut(merchant) {
            update_alerts(account, now, &mut effects.alerts);
            effects.usages.push((*merchant, account.usage));
        }
    }
    app.bell.ring_after(tx, &effects);
    hot::save(tx, &effects).await?;
    Ok(now)
}

/// A merchant that is being edited: its row is locked, its windows are those of the present.
pub(super) struct Opened {
    pub(super) limit: Locked<Model>,
    pub(super) tier: tier::Model,
    pub(super) account: Account,
    pub(super) now: Timestamp,
    effects: Effects,
}

/// Locks a merchant for an edit: 404 when it has no limits, 412 when it is another version.
pub(super) async fn open(by: &Change<'_>, merchant_id: Uuid) -> Result<Opened> {
    let sweep = sweep(merchant_id);
    let (mut loaded, now) = hot::load(by.tx, &[merchant_id], &by.app.lookup).await?;
    let (_, effects) = batch::decide(&mut loaded, [&sweep], now);
    let account = loaded.accounts.remove(&merchant_id).ok_or_else(error::merchant_not_found)?;
    let limit = limit::lock(by.tx, merchant_id).await?;
    by.if_match.check(limit.version)?;
    let tier = tier::find(by.tx, &tier::Name::Id(limit.tier_id)).await?;
    Ok(Opened { limit, tier, account, now, effects })
}

impl Opened {
    /// Writes an edit, and what it does to thresholds.
    pub(super) async fn close(
        mut self,
        by: &Change<'_>,
        tier: Option<tier::Model>,
        change: impl FnOnce(&mut ActiveModel),
    ) -> Result<Seen> {
        let limit = limit::update(by.tx, &self.limit, self.now, change).await?;
        let tier = tier.unwrap_or(self.tier);
        let overrides = std::mem::take(&mut self.account.terms.overrides);
        self.account.terms = limit.account_row(&tier).account()?.terms;
        self.account.terms.overrides = overrides;
        update_alerts(&mut self.account, self.now, &mut self.effects.alerts);
        self.effects.usages = vec![(limit.merchant_id, self.account.usage)];
        by.app.bell.ring_after(by.tx, &self.effects);
        hot::save(by.tx, &self.effects).await?;
        Ok(Seen { limit, tier, account: self.account, now: self.now })
    }

    /// As [`Opened::close`], with other overrides.
    pub(super) async fn close_with(mut self, by: &Change<'_>, overrides: Vec<Override>) -> Result<Seen> {
        let any = !overrides.is_empty();
        self.account.terms.overrides = overrides;
        self.close(by, None, |row| row.has_overrides = Set(any)).await
    }

    /// Nothing was edited. What the present did to the windows is written.
    async fn unchanged(self, by: &Change<'_>) -> Result<Seen> {
        by.app.bell.ring_after(by.tx, &self.effects);
        hot::save(by.tx, &self.effects).await?;
        let limit = self.limit.into_inner();
        Ok(Seen { limit, tier: self.tier, account: self.account, now: self.now })
    }

    /// Refuses another currency while anything is counted or set in the present one.
    fn refuse_counted(&self, wanted: &tier::Model) -> Result<()> {
        let (usage, terms) = (&self.account.usage, &self.account.terms);
        let counted = usage.counters() != crate::model::Counters { daily: 0, monthly: 0, pending: 0 };
        let set = terms.custom != Limits::default() || !terms.overrides.is_empty();
        if counted || set {
            return Err(error::currency_differs(&self.tier.currency, &wanted.currency, usage, terms));
        }
        Ok(())
    }
}

/// What the audit log calls a merchant's limits.
pub(super) const OBJECT: &str = "merchant_limit";

fn sweep(merchant_id: Uuid) -> Operation {
    Operation { merchant_id, payment_no: String::new(), action: Action::Sweep }
}

fn customs(limit: &Model) -> Value {
    json!({
        "daily": limit.custom_daily_limit,
        "monthly": limit.custom_monthly_limit,
        "single_trans": limit.custom_single_trans_limit,
    })
}

fn blank() -> Model {
    let never = DateTime::UNIX_EPOCH;
    Model {
        merchant_id: Uuid::nil(),
        id: Uuid::nil(),
        tier_id: Uuid::nil(),
        timezone: String::new(),
        daily_used: 0,
        monthly_used: 0,
        pending_amount: 0,
        day_start: never,
        daily_reset_at: never,
        month_start: never,
        monthly_reset_at: never,
        next_expiry_at: None,
        custom_daily_limit: None,
        custom_monthly_limit: None,
        custom_single_trans_limit: None,
        has_overrides: false,
        is_suspended: false,
        suspended_reason: None,
        suspended_at: None,
        daily_alert: 0,
        monthly_alert: 0,
        seq: 0,
        version: 1,
        created_at: never,
        updated_at: never,
    }
}
