//! `channel_settings`.

use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use utoipa::IntoParams;

use super::carried::Days;
use crate::error;
use crate::model::{Channel, CutOffCovers};

/// The settings of one channel account; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_settings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub channel: Channel,
    pub account: String,
    pub timezone: String,
    pub cut_off_time: Option<String>,
    pub cut_off_zone: Option<String>,
    pub cut_off_covers: CutOffCovers,
    pub lookback_days: i32,
    pub net_by_payment: bool,
    pub created_by: String,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub payout_window: i32,
    pub payout_words: Option<Json>,
}

/// Settings stand alone.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// By which words the bank's texts name the channel; `None` for its own names.
    pub fn words(&self) -> Option<Vec<String>> {
        self.payout_words.clone().and_then(|words| serde_json::from_value(words).ok())
    }

    /// The days that they hold for.
    pub fn days(&self) -> Days<'_> {
        Days { channel: self.channel, account: &self.account, timezone: &self.timezone }
    }
}

/// Which settings a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this channel.
    pub channel: Option<Channel>,
}

/// Stores new settings. Others of the same channel, account and zone are a unique violation.
pub async fn insert(tx: &Tx, settings: Model) -> Result<Model> {
    Ok(settings.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// The settings, or 404.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid) -> Result<Model> {
    Entity::find_by_id(id).one(conn).await?.ok_or_else(|| error::channel_settings_not_found(id))
}

/// The settings, locked for the rest of the transaction, or 404.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Locked<Model>> {
    let settings = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    settings.map(Locked::assert_locked).ok_or_else(|| error::channel_settings_not_found(id))
}

/// The settings that hold for some days, if there are any.
pub async fn of(conn: &impl ConnectionTrait, days: Days<'_>) -> Result<Option<Model>> {
    let settings = Entity::find()
        .filter(Column::Channel.eq(days.channel))
        .filter(Column::Account.eq(days.account))
        .filter(Column::Timezone.eq(days.timezone))
        .one(conn)
        .await?;
    Ok(settings)
}

/// Puts `row` in the place of the locked one and grows its version.
pub async fn replace(tx: &Tx, old: Locked<Model>, row: Model, now: Timestamp) -> Result<Model> {
    let row = Model { version: old.version + 1, updated_at: now, ..row };
    Ok(row.into_active_model().reset_all().update(tx.conn()).await?)
}

/// Removes settings: the usual way holds again.
pub async fn remove(tx: &Tx, settings: Locked<Model>) -> Result<()> {
    settings.into_inner().into_active_model().delete(tx.conn()).await?;
    Ok(())
}

/// A page of settings, newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Uuid>,
) -> Result<Page<Model>> {
    let all =
        Entity::find().apply_if(filter.channel, |rows, channel| rows.filter(Column::Channel.eq(channel)));
    let mut rows = all.clone().order_by_desc(Column::Id);
    if let Slice::After(id) = request.slice {
        rows = rows.filter(Column::Id.lt(id));
    }
    fetch_page(conn, all, rows, request, |settings| settings.id).await
}
