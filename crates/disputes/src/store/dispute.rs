//! `disputes`.

use chrono::{DateTime, Utc};
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Cond;
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::error;
use crate::evidence::checklist::ProductType;
use crate::lifecycle::{Owner, Phase, State, Status};
use crate::model::{Channel, Doubt, LostCause, Outcome};

/// One dispute; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "disputes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub dispute_no: String,
    pub channel: Channel,
    pub channel_dispute_id: Option<String>,
    pub channel_charge_id: Option<String>,
    pub channel_payment_id: Option<String>,
    pub payment_no: Option<String>,
    pub merchant_id: Option<Uuid>,
    pub amount: i64,
    pub currency: String,
    pub reason: String,
    pub network_reason_code: Option<String>,
    pub card_brand: Option<String>,
    pub product_type: ProductType,
    pub phase: Phase,
    pub status: Status,
    pub channel_status: Option<String>,
    pub evidence_due_by: Option<Timestamp>,
    pub evidence_submitted: bool,
    pub submitted_at: Option<Timestamp>,
    pub submission_count: i32,
    pub is_charge_refundable: Option<bool>,
    pub assigned_to: Option<String>,
    pub assigned_at: Option<Timestamp>,
    pub result: Option<Outcome>,
    pub lost_cause: Option<LostCause>,
    pub closed_at: Option<Timestamp>,
    pub doubt: Option<Doubt>,
    pub channel_object: Option<Json>,
    pub channel_read_at: Option<Timestamp>,
    pub timeline_seq: i64,
    pub created_by: String,
    pub version: i64,
    pub disputed_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Phase and status.
    pub fn state(&self) -> State {
        State { phase: self.phase, status: self.status }
    }

    /// Who says how it stands.
    pub fn owner(&self) -> Owner {
        if self.channel_dispute_id.is_some() { Owner::Channel } else { Owner::People }
    }

    /// Whether an answer would come too late.
    pub fn deadline_passed(&self, now: Timestamp) -> bool {
        self.evidence_due_by.is_some_and(|due| due <= now)
    }
}

/// Which disputes a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this merchant. A merchant's own token sees no others.
    pub merchant_id: Option<Uuid>,
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// Only in this status.
    pub status: Option<Status>,
    /// Only in this phase.
    pub phase: Option<Phase>,
    /// Only with this reason, in the channel's word.
    pub reason: Option<String>,
    /// Only in this currency.
    pub currency: Option<String>,
    /// Only of this payment.
    pub payment_no: Option<String>,
    /// Only given to this person.
    pub assigned_to: Option<String>,
    /// True: only those that are not closed; false: only those that are.
    pub open: Option<bool>,
    /// True: only those that a person should look at; false: only the others.
    pub doubtful: Option<bool>,
    /// Only with this id of the channel.
    pub channel_dispute_id: Option<String>,
    /// Only those whose answer is due at this instant or later.
    pub due_from: Option<DateTime<Utc>>,
    /// Only those whose answer is due before this instant.
    pub due_before: Option<DateTime<Utc>>,
}

/// Where a list of disputes goes on: after this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    created_at: Timestamp,
    id: Uuid,
}

/// Stores a new dispute. Another one of the same channel's id is a unique violation.
pub async fn insert(tx: &Tx, dispute: Model) -> Result<Model> {
    Ok(dispute.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// The dispute, or 404. A merchant finds its own only.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid, merchant: Option<Uuid>) -> Result<Model> {
    let found = Entity::find_by_id(id)
        .apply_if(merchant, |rows, merchant| rows.filter(Column::MerchantId.eq(merchant)))
        .one(conn)
        .await?;
    found.ok_or_else(|| error::dispute_not_found(id))
}

/// The dispute, locked for the rest of the transaction, or 404. A merchant finds its own only.
pub async fn lock(tx: &Tx, id: Uuid, merchant: Option<Uuid>) -> Result<Locked<Model>> {
    let found = Entity::find_by_id(id)
        .apply_if(merchant, |rows, merchant| rows.filter(Column::MerchantId.eq(merchant)))
        .lock_exclusive()
        .one(tx.conn())
        .await?;
    found.map(Locked::assert_locked).ok_or_else(|| error::dispute_not_found(id))
}

/// The channel's dispute, locked for the rest of the transaction, if it is here.
pub async fn lock_channels(tx: &Tx, channel: Channel, channel_id: &str) -> Result<Option<Locked<Model>>> {
    let found = of_channel(channel, channel_id).lock_exclusive().one(tx.conn()).await?;
    Ok(found.map(Locked::assert_locked))
}

/// The channel's dispute, if it is here.
pub async fn channels(
    conn: &impl ConnectionTrait,
    channel: Channel,
    channel_id: &str,
) -> Result<Option<Model>> {
    Ok(of_channel(channel, channel_id).one(conn).await?)
}

fn of_channel(channel: Channel, channel_id: &str) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::Channel.eq(channel)).filter(Column::ChannelDisputeId.eq(channel_id))
}

/// Open disputes that were entered by hand for this payment and amount and that no channel's dispute was found for, locked,
/// the oldest first; no more than two.
pub async fn lock_entered(
    tx: &Tx,
    channel: Channel,
    payment_no: &str,
    amount: i64,
    currency: &str,
) -> Result<Vec<Locked<Model>>> {
    let found = Entity::find()
        .filter(Column::Channel.eq(channel))
        .filter(Column::ChannelDisputeId.is_null())
        .filter(Column::PaymentNo.eq(payment_no))
        .filter(Column::Amount.eq(amount))
        .filter(Column::Currency.eq(currency))
        .filter(Column::ClosedAt.is_null())
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .limit(2)
        .lock_exclusive()
        .all(tx.conn())
        .await?;
    Ok(found.into_iter().map(Locked::assert_locked).collect())
}

/// Writes a locked dispute as `changed` says and grows its version.
pub async fn update(tx: &Tx, before: &Locked<Model>, changed: Model, now: Timestamp) -> Result<Model> {
    let mut row = changed.into_active_model().reset_all();
    row.id = ActiveValue::Unchanged(before.id);
    row.version = ActiveValue::Set(before.version + 1);
    row.updated_at = ActiveValue::Set(now);
    Ok(row.update(tx.conn()).await?)
}

/// A page of disputes, the newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Cursor>,
) -> Result<Page<Model>> {
    let all = filtered(filter);
    let mut rows = all.clone().order_by_desc(Column::CreatedAt).order_by_desc(Column::Id);
    if let Slice::After(Cursor { created_at, id }) = &request.slice {
        let same = Cond::all().add(Column::CreatedAt.eq(*created_at)).add(Column::Id.lt(*id));
        rows = rows.filter(Cond::any().add(Column::CreatedAt.lt(*created_at)).add(same));
    }
    let cursor_of = |dispute: &Model| Cursor { created_at: dispute.created_at, id: dispute.id };
    fetch_page(conn, all, rows, request, cursor_of).await
}

/// The disputes that a filter lets through.
fn filtered(filter: &Filter) -> sea_orm::Select<Entity> {
    let filter = filter.clone();
    Entity::find()
        .apply_if(filter.merchant_id, |rows, id| rows.filter(Column::MerchantId.eq(id)))
        .apply_if(filter.channel, |rows, channel| rows.filter(Column::Channel.eq(channel)))
        .apply_if(filter.status, |rows, status| rows.filter(Column::Status.eq(status)))
        .apply_if(filter.phase, |rows, phase| rows.filter(Column::Phase.eq(phase)))
        .apply_if(filter.reason, |rows, reason| rows.filter(Column::Reason.eq(reason)))
        .apply_if(filter.currency, |rows, code| rows.filter(Column::Currency.eq(code.to_ascii_uppercase())))
        .apply_if(filter.payment_no, |rows, number| rows.filter(Column::PaymentNo.eq(number)))
        .apply_if(filter.assigned_to, |rows, who| rows.filter(Column::AssignedTo.eq(who)))
        .apply_if(filter.channel_dispute_id, |rows, id| rows.filter(Column::ChannelDisputeId.eq(id)))
        .apply_if(filter.due_from, |rows, due| rows.filter(Column::EvidenceDueBy.gte(due)))
        .apply_if(filter.due_before, |rows, due| rows.filter(Column::EvidenceDueBy.lt(due)))
        .apply_if(filter.open, |rows, open| {
            rows.filter(if open { Column::ClosedAt.is_null() } else { Column::ClosedAt.is_not_null() })
        })
        .apply_if(filter.doubtful, |rows, doubtful| {
            rows.filter(if doubtful { Column::Doubt.is_not_null() } else { Column::Doubt.is_null() })
        })
}
