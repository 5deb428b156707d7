//! `limit_rates`.

use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use utoipa::IntoParams;

/// One exchange rate; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "limit_rates")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub from_currency: String,
    pub to_currency: String,
    pub rate: String,
    pub in_force: bool,
    pub created_by: String,
    pub created_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which rates a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only rates from this currency.
    pub from_currency: Option<String>,
    /// Only rates to this currency.
    pub to_currency: Option<String>,
    /// True shows the rates of the past too.
    pub history: Option<bool>,
}

/// The rate of a pair that is in force, locked for the rest of the transaction.
pub async fn lock(tx: &Tx, from: &str, to: &str) -> Result<Option<Model>> {
    let rate = Entity::find()
        .filter(Column::FromCurrency.eq(from))
        .filter(Column::ToCurrency.eq(to))
        .filter(Column::InForce.eq(true))
        .lock_exclusive()
        .one(tx.conn())
        .await?;
    Ok(rate)
}

/// Puts a rate out of force; it stays to be looked up.
pub async fn retire(tx: &Tx, id: Uuid) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::InForce, Expr::value(false))
        .filter(Column::Id.eq(id))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Stores a new rate. Another one of the pair that is in force is a unique violation.
pub async fn insert(tx: &Tx, rate: Model) -> Result<Model> {
    Ok(rate.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// A page of rates, the newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Uuid>,
) -> Result<Page<Model>> {
    let filter = filter.clone();
    let present = (filter.history != Some(true)).then_some(true);
    let all = Entity::find()
        .apply_if(present, |rows, present| rows.filter(Column::InForce.eq(present)))
        .apply_if(filter.from_currency, |rows, code| {
            rows.filter(Column::FromCurrency.eq(code.to_ascii_uppercase()))
        })
        .apply_if(filter.to_currency, |rows, code| {
            rows.filter(Column::ToCurrency.eq(code.to_ascii_uppercase()))
        });
    let mut rows = all.clone().order_by_desc(Column::Id);
    if let Slice::After(id) = request.slice {
        rows = rows.filter(Column::Id.lt(id));
    }
    fetch_page(conn, all, rows, request, |rate| rate.id).await
}
