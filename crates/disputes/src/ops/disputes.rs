//! What people do to disputes: enter them, say how they stand, give them to somebody, write notes.

use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use payops_platform::db::Locked;
use payops_platform::error::{Error, Result};
use payops_platform::http::IfMatch;
use serde_json::json;
use uuid::Uuid;

use super::{By, Edit, readings};
use crate::error;
use crate::evidence::checklist::ProductType;
use crate::lifecycle::{Action, Event, Phase, Status, actions, step};
use crate::model::{Channel, LostCause, TimelineEvent};
use crate::store::dispute::{self, Model as Dispute};

/// A dispute as a person or a service enters it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) channel: Channel,
    pub(crate) channel_dispute_id: Option<String>,
    pub(crate) payment_no: String,
    pub(crate) merchant_id: Uuid,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) reason: String,
    pub(crate) product_type: ProductType,
    pub(crate) inquiry: bool,
    pub(crate) evidence_due_by: Option<Timestamp>,
}

/// Enters a dispute. One with the channel's id is read from the channel as well, whose word then counts.
///
/// # Errors
/// 409 `DISPUTE_EXISTS` where the channel's dispute is here already.
pub(crate) async fn enter(by: &By<'_>, entry: Entry) -> Result<Dispute> {
    if let Some(channel_id) = &entry.channel_dispute_id
        && let Some(holder) = dispute::channels(by.tx.conn(), entry.channel, channel_id).await?
    {
        return Err(error::dispute_exists(&holder));
    }
    let (phase, status) = if entry.inquiry {
        (Phase::Inquiry, Status::WarningNeedsResponse)
    } else {
        (Phase::Chargeback, Status::NeedsResponse)
    };
    let (id, now) = (by.app.context.new_id(), by.app.context.now());
    let new = Dispute {
        payment_no: Some(entry.payment_no),
        merchant_id: Some(entry.merchant_id),
        channel_dispute_id: entry.channel_dispute_id,
        product_type: entry.product_type,
        evidence_due_by: entry.evidence_due_by,
        phase,
        status,
        created_by: by.actor.id.clone(),
        ..blank(id, entry.channel, entry.amount, entry.currency, &entry.reason, now)
    };
    let detail =
        json!({ "amount": new.amount, "currency": new.currency, "reason": new.reason, "entered": true });
    let created = Edit::insert(by, new, detail).await.map_err(retry_unique)?;
    if let Some(channel_id) =
        created.channel_dispute_id.as_ref().filter(|_| created.channel == Channel::Stripe)
    {
        readings::want(by.app, by.tx, created.channel, channel_id).await?;
    }
    Ok(created)
}

/// Says how a dispute stands that no channel says it of.
pub(crate) async fn set_status(
    by: &By<'_>,
    id: Uuid,
    if_match: &IfMatch,
    status: Status,
    note: Option<&str>,
) -> Result<Dispute> {
    let dispute = locked(by, id, if_match).await?;
    let next = step(dispute.state(), dispute.owner(), Event::Entered(status))
        .ok_or_else(|| error::status_not_allowed(&dispute, status))?;
    let now = by.app.context.now();
    let answered = dispute.evidence_submitted || dispute.status == Status::UnderReview;
    let cause = lost_cause(answered, dispute.deadline_passed(now));
    let mut edit = Edit::of(dispute);
    if matches!(status, Status::UnderReview | Status::WarningUnderReview) {
        edit.after.evidence_submitted = true;
        edit.after.submitted_at = Some(now);
    }
    edit.move_to(next, Some(cause), now);
    if let Some(note) = note {
        edit.tell(TimelineEvent::Noted, json!({ "note": note }));
    }
    edit.save(by).await
}

/// Says what was sold, which the checklist depends on.
///
/// # Errors
/// 409 `DISPUTE_STATUS` where it is closed.
pub(crate) async fn set_product_type(
    by: &By<'_>,
    id: Uuid,
    if_match: &IfMatch,
    product_type: ProductType,
) -> Result<Dispute> {
    let dispute = locked(by, id, if_match).await?;
    require(
        &dispute,
        Action::SetProductType,
        by.app.context.now(),
        "given another product type",
        "修改商品类型",
    )?;
    let before = dispute.product_type;
    if before == product_type {
        return Ok(dispute.into_inner());
    }
    let mut edit = Edit::of(dispute);
    edit.after.product_type = product_type;
    let detail = json!({ "before": { "product_type": before }, "after": { "product_type": product_type } });
    edit.tell(TimelineEvent::Updated, detail);
    edit.save(by).await
}

/// Gives a dispute to somebody, or to nobody.
pub(crate) async fn assign(
    by: &By<'_>,
    id: Uuid,
    if_match: &IfMatch,
    owner: Option<&str>,
) -> Result<Dispute> {
    let dispute = locked(by, id, if_match).await?;
    require(&dispute, Action::Assign, by.app.context.now(), "assigned", "分配")?;
    give(by, dispute, owner).await
}

/// Gives a dispute that can be given.
pub(super) async fn give(by: &By<'_>, dispute: Locked<Dispute>, owner: Option<&str>) -> Result<Dispute> {
    if dispute.assigned_to.as_deref() == owner {
        return Ok(dispute.into_inner());
    }
    let mut edit = Edit::of(dispute);
    let detail = json!({ "before": edit.before().assigned_to, "after": owner });
    edit.after.assigned_to = owner.map(str::to_owned);
    edit.after.assigned_at = owner.map(|_| by.app.context.now());
    edit.tell(TimelineEvent::Assigned, detail);
    edit.save(by).await
}

/// Writes something down. Closed disputes can be discussed too.
pub(crate) async fn note(by: &By<'_>, id: Uuid, text: &str) -> Result<Dispute> {
    let mut edit = Edit::of(dispute::lock(by.tx, id, None).await?);
    edit.tell(TimelineEvent::Noted, json!({ "note": text }));
    edit.save(by).await
}

/// Refuses what cannot be done to a dispute as it stands.
pub(crate) fn require(dispute: &Dispute, action: Action, now: Timestamp, what: &str, zh: &str) -> Result<()> {
    if actions(dispute.state(), dispute.owner(), dispute.deadline_passed(now)).contains(&action) {
        return Ok(());
    }
    Err(error::action_not_allowed(dispute, what, zh))
}

/// Why a dispute that is lost now was lost, as far as is known.
pub(crate) fn lost_cause(answered: bool, deadline_passed: bool) -> LostCause {
    match (answered, deadline_passed) {
        (true, _) => LostCause::Decided,
        (false, true) => LostCause::Expired,
        (false, false) => LostCause::Accepted,
    }
}

/// A dispute of which no more is known than this.
pub(crate) fn blank(
    id: Uuid,
    channel: Channel,
    amount: i64,
    currency: Currency,
    reason: &str,
    now: Timestamp,
) -> Dispute {
    // The end of a UUIDv7 is random: no two disputes of a day share it.
    let tail = id.simple().to_string();
    let tail = tail.get(20..).unwrap_or_default();
    Dispute {
        id,
        dispute_no: format!("DSP-{}-{}-{tail}", channel.as_str(), now.format("%Y%m%d")),
        channel,
        channel_dispute_id: None,
        channel_charge_id: None,
        channel_payment_id: None,
        payment_no: None,
        merchant_id: None,
        amount,
        currency: currency.as_str().to_owned(),
        reason: reason.to_owned(),
        network_reason_code: None,
        card_brand: None,
        product_type: ProductType::default(),
        phase: Phase::Chargeback,
        status: Status::NeedsResponse,
        channel_status: None,
        evidence_due_by: None,
        evidence_submitted: false,
        submitted_at: None,
        submission_count: 0,
        is_charge_refundable: None,
        assigned_to: None,
        assigned_at: None,
        result: None,
        lost_cause: None,
        closed_at: None,
        doubt: None,
        channel_read_at: None,
        timeline_seq: 0,
        created_by: String::new(),
        version: 1,
        disputed_at: now,
        created_at: now,
        updated_at: now,
    }
}

pub(crate) async fn locked(by: &By<'_>, id: Uuid, if_match: &IfMatch) -> Result<Locked<Dispute>> {
    let dispute = dispute::lock(by.tx, id, None).await?;
    if_match.check(dispute.version)?;
    Ok(dispute)
}

/// Of two who enter the same at once, the second begins anew and sees the first.
pub(super) fn retry_unique(error: Error) -> Error {
    if error.unique_violation() { error.retryable() } else { error }
}
