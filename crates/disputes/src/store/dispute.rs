//! `disputes`.

use chrono::{DateTime, Utc};
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Backend, Locked, Tx, count_rows};
use payops_platform::error::{Error, Result};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Cond;
use sea_orm::{ActiveValue, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::sums;
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
        // An id alone says nothing: it may be mistyped, or of a channel that nobody reads.
        let is_the_channels = self.channel_dispute_id.is_some() && self.channel_read_at.is_some();
        if is_the_channels { Owner::Channel } else { Owner::People }
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

impl Filter {
    /// Refuses a stretch of deadlines that nothing can lie in.
    pub fn check(&self) -> Result<()> {
        match (self.due_from, self.due_before) {
            (Some(from), Some(before)) if from >= before => Err(Error::invalid_field(
                "due_before",
                "it does not lie after due_from",
                "due_before 不晚于 due_from",
            )),
            _ => Ok(()),
        }
    }
}

/// Where a list of disputes goes on: after this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    created_at: Timestamp,
    id: Uuid,
}

impl Cursor {
    /// The one after which a list goes on from `dispute`.
    pub fn of(dispute: &Model) -> Self {
        Self { created_at: dispute.created_at, id: dispute.id }
    }
}

/// Stores a new dispute. Another one of the same channel's id is a unique violation.
pub async fn insert(tx: &Tx, dispute: Model) -> Result<Model> {
    let created = dispute.into_active_model().reset_all().insert(tx.conn()).await?;
    sums::note(tx, None, &created).await?;
    Ok(created)
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
    let found = entered(channel, payment_no, amount, currency)
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .limit(2)
        .lock_exclusive()
        .all(tx.conn())
        .await?;
    Ok(found.into_iter().map(Locked::assert_locked).collect())
}

/// Whether an open dispute was entered by hand, and has no channel's dispute yet, that may be this one of the channel's.
pub async fn is_entered(conn: &impl ConnectionTrait, channels: &Model, payment_no: &str) -> Result<bool> {
    let (amount, currency) = (channels.amount, channels.currency.as_str());
    let found = entered(channels.channel, payment_no, amount, currency).filter(Column::Id.ne(channels.id));
    Ok(found.select_only().column(Column::Id).limit(1).into_tuple::<Uuid>().one(conn).await?.is_some())
}

fn entered(channel: Channel, payment_no: &str, amount: i64, currency: &str) -> sea_orm::Select<Entity> {
    Entity::find()
        .filter(Column::Channel.eq(channel))
        .filter(Column::ChannelDisputeId.is_null())
        .filter(Column::PaymentNo.eq(payment_no))
        .filter(Column::Amount.eq(amount))
        .filter(Column::Currency.eq(currency))
        .filter(Column::ClosedAt.is_null())
}

/// Writes a locked dispute as `changed` says and grows its version.
pub async fn update(tx: &Tx, before: &Locked<Model>, changed: Model, now: Timestamp) -> Result<Model> {
    let mut row = changed.into_active_model().reset_all();
    row.id = ActiveValue::Unchanged(before.id);
    row.version = ActiveValue::Set(before.version + 1);
    row.updated_at = ActiveValue::Set(now);
    let saved = row.update(tx.conn()).await?;
    sums::note(tx, Some(before), &saved).await?;
    Ok(saved)
}

/// A page of disputes, the newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Cursor>,
) -> Result<Page<Model>> {
    let all = filtered(filter);
    let after = match &request.slice {
        Slice::Page { .. } => None,
        Slice::After(cursor) => Some(cursor),
    };
    let counted = count_rows(conn, all.clone()).await?;
    // The ids first, which an index holds with what is filtered by: a table's rows are wide.
    let ids = ordered(all, after).select_only().column(Column::Id);
    let ids = ids.offset(request.offset()).limit(request.size + 1).into_tuple::<Uuid>().all(conn).await?;
    let rows = ordered(Entity::find().filter(Column::Id.is_in(ids)), None).all(conn).await?;
    Ok(Page::build(request, rows, counted, Cursor::of))
}

/// The next disputes of a list after `after`, for exports that walk to the end.
pub async fn walk(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    after: Option<&Cursor>,
    most: u64,
) -> Result<Vec<Model>> {
    Ok(ordered(filtered(filter), after).limit(most).all(conn).await?)
}

fn ordered(rows: sea_orm::Select<Entity>, after: Option<&Cursor>) -> sea_orm::Select<Entity> {
    let rows = rows.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id);
    let Some(Cursor { created_at, id }) = after else { return rows };
    let same = Cond::all().add(Column::CreatedAt.eq(*created_at)).add(Column::Id.lt(*id));
    rows.filter(Cond::any().add(Column::CreatedAt.lt(*created_at)).add(same))
}

/// The disputes of a payment: by our number, or by the channel's id of the payment or its charge.
pub async fn about(
    conn: &impl ConnectionTrait,
    payment_no: &str,
    channel_payment_id: Option<&str>,
) -> Result<Vec<Model>> {
    let mut ours = Cond::any().add(Column::PaymentNo.eq(payment_no));
    if let Some(id) = channel_payment_id {
        ours = ours.add(Column::ChannelPaymentId.eq(id)).add(Column::ChannelChargeId.eq(id));
    }
    Ok(Entity::find().filter(ours).order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).all(conn).await?)
}

/// Whether there are disputes of a channel that nobody could tie to a payment.
pub async fn any_unlinked(conn: &impl ConnectionTrait, channel: Channel) -> Result<bool> {
    let found = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Channel.eq(channel))
        .filter(Column::PaymentNo.is_null())
        .limit(1)
        .into_tuple::<Uuid>();
    Ok(found.one(conn).await?.is_some())
}

/// How many open disputes nobody could tie to a payment, counted up to `most`.
pub async fn count_unlinked(conn: &impl ConnectionTrait, backend: Backend, most: u64) -> Result<i64> {
    let sql = "SELECT COUNT(*) AS count FROM (SELECT id FROM disputes \
         WHERE payment_no IS NULL AND closed_at IS NULL LIMIT $1) AS unlinked";
    let row = conn.query_one_raw(backend.statement(sql, [most.into()])).await?;
    Ok(row.map(|row| row.try_get("", "count")).transpose()?.unwrap_or_default())
}

/// Those of some disputes that are here, locked for the rest of the transaction, in the order of their ids.
pub async fn lock_all(tx: &Tx, ids: &[Uuid]) -> Result<Vec<Locked<Model>>> {
    let found = Entity::find().filter(Column::Id.is_in(ids.iter().copied())).order_by_asc(Column::Id);
    let found = found.lock_exclusive().all(tx.conn()).await?;
    Ok(found.into_iter().map(Locked::assert_locked).collect())
}

/// Those of some disputes that are here, the oldest first.
pub async fn some(conn: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Vec<Model>> {
    let found = Entity::find().filter(Column::Id.is_in(ids.iter().copied()));
    Ok(found.order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).all(conn).await?)
}

/// What is known of a channel's disputes.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Knowledge {
    /// The channel's id of the dispute.
    pub id: String,
    /// The channel's own word.
    pub status: Option<String>,
    pub read_at: Option<Timestamp>,
}

/// What is known of some of a channel's disputes.
pub async fn knowledge(
    conn: &impl ConnectionTrait,
    channel: Channel,
    channel_ids: &[String],
) -> Result<Vec<Knowledge>> {
    let found = Entity::find()
        .select_only()
        .column_as(Column::ChannelDisputeId, "id")
        .column_as(Column::ChannelStatus, "status")
        .column_as(Column::ChannelReadAt, "read_at")
        .filter(Column::Channel.eq(channel))
        .filter(Column::ChannelDisputeId.is_in(channel_ids.iter().map(String::as_str)));
    Ok(found.into_model().all(conn).await?)
}

/// Open disputes of a channel that were last read before `before`, the longest ago first.
pub async fn unread_since(
    conn: &impl ConnectionTrait,
    channel: Channel,
    before: Timestamp,
    most: u64,
) -> Result<Vec<String>> {
    let found = Entity::find()
        .select_only()
        .column(Column::ChannelDisputeId)
        .filter(Column::Channel.eq(channel))
        .filter(Column::ChannelDisputeId.is_not_null())
        .filter(Column::ClosedAt.is_null())
        .filter(Column::ChannelReadAt.lt(before))
        .order_by_asc(Column::ChannelReadAt)
        .limit(most)
        .into_tuple();
    Ok(found.all(conn).await?)
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
