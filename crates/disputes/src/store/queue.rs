//! The order of work: disputes that wait for an answer of ours.

use std::collections::HashMap;

use chrono::TimeDelta;
use payops_core::page::{MAX_COUNTED, Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::Backend;
use payops_platform::error::{Error, Result};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveEnum, FromQueryResult, QueryOrder, QuerySelect, Value};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::dispute::{self, Model as Dispute};
use crate::model::Channel;

/// Literally as the index says it: a database uses it for nothing else.
pub const AWAITS_ANSWER: &str = "(status = 'needs_response' OR status = 'warning_needs_response')";

/// How soon an answer is needed, the soonest first. What cannot be answered any more comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Within 24 hours.
    Day,
    /// Within 3 times 24 hours.
    ThreeDays,
    /// Within 7 times 24 hours.
    Week,
    /// Later.
    Later,
    /// No deadline is known.
    Undated,
    /// The deadline has passed, and the channel has not said how it ended.
    Overdue,
}

impl Urgency {
    /// In order: the place of each is its number.
    const ALL: [Self; 6] =
        [Self::Day, Self::ThreeDays, Self::Week, Self::Later, Self::Undated, Self::Overdue];

    fn numbered(number: i64) -> Self {
        let place = usize::try_from(number).unwrap_or_default();
        Self::ALL.get(place).copied().unwrap_or(Self::Overdue)
    }
}

/// Which work is shown; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only given to this person.
    pub assigned_to: Option<String>,
    /// True: only what nobody has; false: only what somebody has.
    pub unassigned: Option<bool>,
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// Only of this merchant.
    pub merchant_id: Option<Uuid>,
    /// Only in this currency.
    pub currency: Option<String>,
}

/// Where the queue goes on: after this dispute, as urgent as things were when the first page was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    as_of: Timestamp,
    urgency: i64,
    currency: String,
    amount: i64,
    id: Uuid,
}

#[derive(Debug, Clone, FromQueryResult)]
struct Place {
    id: Uuid,
    urgency: i64,
    currency: String,
    amount: i64,
}

/// SQL under construction, with what its parameters stand for.
#[derive(Debug, Default)]
struct Parameters(Vec<Value>);

impl Parameters {
    fn add(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }
}

/// A page of work: by urgency, then currency, then amount, the largest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    backend: Backend,
    filter: &Filter,
    request: &PageRequest<Cursor>,
    now: Timestamp,
) -> Result<Page<(Urgency, Dispute)>> {
    let as_of = match &request.slice {
        Slice::After(cursor) => cursor.as_of,
        Slice::Page { .. } => now,
    };
    let counted = count(conn, backend, filter).await?;
    let places = places(conn, backend, filter, request, as_of).await?;
    let ids = places.iter().map(|place| place.id);
    let found = dispute::Entity::find().filter(dispute::Column::Id.is_in(ids)).all(conn).await?;
    let mut found: HashMap<Uuid, Dispute> = found.into_iter().map(|row| (row.id, row)).collect();
    let whole = |place: Place| {
        let gone = || Error::impossible_row("disputes", "id", place.id, "no such dispute");
        let row = found.remove(&place.id).ok_or_else(gone)?;
        Ok((place, row))
    };
    let work: Vec<(Place, Dispute)> = places.into_iter().map(whole).collect::<Result<_>>()?;
    let cursor_of = |(place, _): &(Place, Dispute)| Cursor {
        as_of,
        urgency: place.urgency,
        currency: place.currency.clone(),
        amount: place.amount,
        id: place.id,
    };
    let page = Page::build(request, work, counted, cursor_of);
    Ok(page.map(|(place, row)| (Urgency::numbered(place.urgency), row)))
}

/// Since when the dispute waits that waits longest and can still be answered.
pub async fn oldest(conn: &impl ConnectionTrait, now: Timestamp) -> Result<Option<Timestamp>> {
    let oldest = dispute::Entity::find()
        .select_only()
        .column(dispute::Column::DisputedAt)
        .filter(Expr::cust(AWAITS_ANSWER))
        .filter(dispute::Column::EvidenceDueBy.gt(now))
        .order_by_asc(dispute::Column::DisputedAt)
        .limit(1)
        .into_tuple();
    Ok(oldest.one(conn).await?)
}

async fn places(
    conn: &impl ConnectionTrait,
    backend: Backend,
    filter: &Filter,
    request: &PageRequest<Cursor>,
    as_of: Timestamp,
) -> Result<Vec<Place>> {
    let mut parameters = Parameters::default();
    let now = parameters.add(as_of);
    let mut within = |days: i64| parameters.add(as_of + TimeDelta::days(days));
    let (day, three_days, week) = (within(1), within(3), within(7));
    let open = open(filter, &mut parameters);
    let after = match &request.slice {
        Slice::Page { .. } => String::new(),
        Slice::After(cursor) => after(cursor, &mut parameters),
    };
    let sql = format!(
        "SELECT id, urgency, currency, amount FROM (SELECT id, currency, amount, CAST(CASE \
           WHEN evidence_due_by IS NULL THEN 4 WHEN evidence_due_by <= {now} THEN 5 \
           WHEN evidence_due_by <= {day} THEN 0 WHEN evidence_due_by <= {three_days} THEN 1 \
           WHEN evidence_due_by <= {week} THEN 2 ELSE 3 END AS BIGINT) AS urgency \
         FROM disputes WHERE {open}) work {after} \
         ORDER BY urgency, currency, amount DESC, id LIMIT {} OFFSET {}",
        request.size + 1,
        request.offset()
    );
    Ok(Place::find_by_statement(backend.statement(&sql, parameters.0)).all(conn).await?)
}

fn after(cursor: &Cursor, parameters: &mut Parameters) -> String {
    let urgency = parameters.add(cursor.urgency);
    let currency = parameters.add(cursor.currency.clone());
    let (amount, id) = (parameters.add(cursor.amount), parameters.add(cursor.id));
    format!(
        "WHERE urgency > {urgency} OR (urgency = {urgency} AND (currency > {currency} OR (currency = {currency} \
         AND (amount < {amount} OR (amount = {amount} AND id > {id})))))"
    )
}

/// Counts the work up to one more than is ever shown.
async fn count(conn: &impl ConnectionTrait, backend: Backend, filter: &Filter) -> Result<u64> {
    let mut parameters = Parameters::default();
    let open = open(filter, &mut parameters);
    let sql = format!(
        "SELECT CAST(COUNT(*) AS BIGINT) AS counted FROM \
         (SELECT id FROM disputes WHERE {open} LIMIT {}) work",
        MAX_COUNTED + 1
    );
    let row = conn.query_one_raw(backend.statement(&sql, parameters.0)).await?;
    let counted: i64 = row.map(|row| row.try_get("", "counted")).transpose()?.unwrap_or(0);
    Ok(u64::try_from(counted).unwrap_or(0))
}

fn open(filter: &Filter, parameters: &mut Parameters) -> String {
    let mut terms = vec![AWAITS_ANSWER.to_owned()];
    let mut equal = |column: &str, value: Option<Value>| {
        terms.extend(value.map(|value| format!("{column} = {}", parameters.add(value))));
    };
    equal("assigned_to", filter.assigned_to.clone().map(Into::into));
    equal("channel", filter.channel.map(|channel| channel.to_value().into()));
    equal("merchant_id", filter.merchant_id.map(Into::into));
    equal("currency", filter.currency.as_ref().map(|code| code.to_ascii_uppercase().into()));
    if let Some(unassigned) = filter.unassigned {
        terms.push(format!("assigned_to IS {}", if unassigned { "NULL" } else { "NOT NULL" }));
    }
    terms.join(" AND ")
}
