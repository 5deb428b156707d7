//! Limits that hold for a time, and end without anybody doing anything.

use payops_core::time::Timestamp;
use payops_platform::error::{Error, Result};
use serde_json::json;
use uuid::Uuid;

use super::Change;
use super::limits::{OBJECT, open};
use crate::error;
use crate::model::LimitKind;
use crate::store::overrides::{self, Model};

/// The most overrides of a merchant that are not over: each is read by every decision.
const MOST_OPEN: usize = 100;

/// A limit that is to hold for a time.
#[derive(Debug, Clone)]
pub(crate) struct NewOverride {
    pub(crate) kind: LimitKind,
    pub(crate) value: i64,
    /// `None` is now; a start in the past is now too.
    pub(crate) starts_at: Option<Timestamp>,
    pub(crate) ends_at: Timestamp,
    pub(crate) reason: String,
}

/// Adds an override. Two of one limit never hold at once: 409 names the one that stands in the way.
pub(crate) async fn create(
    by: &Change<'_>,
    merchant_id: Uuid,
    new: &NewOverride,
) -> Result<(Model, Timestamp)> {
    let opened = open(by, merchant_id).await?;
    let now = opened.now;
    let starts_at = new.starts_at.map_or(now, |start| start.max(now));
    if new.ends_at <= starts_at {
        return Err(Error::invalid_field(
            "ends_at",
            "must be later than starts_at, and in the future",
            "必须晚于 starts_at，且在未来",
        ));
    }
    let present = overrides::open(by.tx, merchant_id, now).await?;
    let clash = |held: &&Model| {
        held.limit_kind == new.kind && held.starts_at < new.ends_at && starts_at < held.ends_at
    };
    if let Some(other) = present.iter().find(clash) {
        return Err(error::override_overlaps(other));
    }
    if present.len() >= MOST_OPEN {
        return Err(error::too_many_overrides(MOST_OPEN));
    }
    let added = Model {
        merchant_id,
        id: by.app.context.new_id(),
        limit_kind: new.kind,
        value: new.value,
        starts_at,
        ends_at: new.ends_at,
        reason: new.reason.clone(),
        created_by: by.actor.id.clone(),
        created_at: now,
        deleted_by: None,
        deleted_at: None,
        // What holds at once is looked at with this very change.
        sweep_at: Some(if starts_at > now { starts_at } else { new.ends_at }),
    };
    let added = overrides::insert(by.tx, added).await?;
    let held = present.iter().chain([&added]).map(Model::held).collect();
    opened.close_with(by, held).await?;
    by.audit("merchant_limit.override_added", OBJECT, merchant_id, detail(&added)).await?;
    Ok((added, now))
}

/// Takes an override back. One that is over stays in the history as it was.
pub(crate) async fn delete(by: &Change<'_>, merchant_id: Uuid, id: Uuid) -> Result<(Model, Timestamp)> {
    let opened = open(by, merchant_id).await?;
    let now = opened.now;
    let found = overrides::lock(by.tx, merchant_id, id).await?;
    if found.deleted_at.is_some() || found.ends_at <= now {
        return Err(error::override_over(&found));
    }
    let deleted = overrides::delete(by.tx, found, &by.actor.id, now).await?;
    let left = overrides::open(by.tx, merchant_id, now).await?;
    opened.close_with(by, left.iter().map(Model::held).collect()).await?;
    by.audit("merchant_limit.override_deleted", OBJECT, merchant_id, detail(&deleted)).await?;
    Ok((deleted, now))
}

fn detail(of: &Model) -> serde_json::Value {
    json!({
        "id": of.id,
        "limit_kind": of.limit_kind,
        "value": of.value,
        "starts_at": of.starts_at,
        "ends_at": of.ends_at,
        "reason": of.reason,
    })
}
