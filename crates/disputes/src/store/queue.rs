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

    /// When it is due.
    fn due(self, now: Timestamp, parameters: &mut Parameters) -> String {
        let mut within = |days: i64| parameters.add(now + TimeDelta::days(days));
        match self {
            Self::Day => format!("evidence_due_by > {} AND evidence_due_by <= {}", within(0), within(1)),
            Self::ThreeDays => {
                format!("evidence_due_by > {} AND evidence_due_by <= {}", within(1), within(3))
            }
            Self::Week => format!("evidence_due_by > {} AND evidence_due_by <= {}", within(3), within(7)),
            Self::Later => format!("evidence_due_by > {}", within(7)),
            Self::Undated => "evidence_due_by IS NULL".to_owned(),
            Self::Overdue => format!("evidence_due_by <= {}", within(0)),
        }
    }

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
    let mut parameters = Parameters::default();
    let open = open(filter, &mut parameters);
    let counted = count(conn, backend, &open, parameters.0).await?;
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

/// The places of a page, one urgency after the other: few disputes are as urgent as those of the first pages.
async fn places(
    conn: &impl ConnectionTrait,
    backend: Backend,
    filter: &Filter,
    request: &PageRequest<Cursor>,
    as_of: Timestamp,
) -> Result<Vec<Place>> {
    let (first, mut skipped) = match &request.slice {
        Slice::Page { .. } => (0, request.offset()),
        Slice::After(cursor) => (cursor.urgency, 0),
    };
    let mut places: Vec<Place> = Vec::new();
    for urgency in Urgency::ALL.into_iter().skip(usize::try_from(first).unwrap_or_default()) {
        let missing = (request.size + 1).saturating_sub(places.len() as u64);
        if missing == 0 {
            break;
        }
        let mut parameters = Parameters::default();
        let mut these = open(filter, &mut parameters);
        these.push_str(" AND ");
        these.push_str(&urgency.due(as_of, &mut parameters));
        if skipped > 0 {
            let here = count(conn, backend, &these, parameters.0.clone()).await?;
            if here <= skipped {
                skipped -= here;
                continue;
            }
        }
        if let Slice::After(cursor) = &request.slice
            && cursor.urgency == urgency as i64
        {
            these.push_str(" AND ");
            these.push_str(&after(cursor, &mut parameters));
        }
        let sql = format!(
            "SELECT id, CAST({} AS BIGINT) AS urgency, currency, amount FROM disputes WHERE {these} \
             ORDER BY currency, amount DESC, id LIMIT {missing} OFFSET {skipped}",
            urgency as i64
        );
        places.extend(Place::find_by_statement(backend.statement(&sql, parameters.0)).all(conn).await?);
        skipped = 0;
    }
    Ok(places)
}

/// What comes after a place among those that are as urgent.
fn after(cursor: &Cursor, parameters: &mut Parameters) -> String {
    let currency = parameters.add(cursor.currency.clone());
    let (amount, id) = (parameters.add(cursor.amount), parameters.add(cursor.id));
    format!(
        "(currency > {currency} OR (currency = {currency} AND (amount < {amount} OR (amount = {amount} AND id > {id}))))"
    )
}

/// Counts work up to one more than is ever shown.
async fn count(
    conn: &impl ConnectionTrait,
    backend: Backend,
    which: &str,
    values: Vec<Value>,
) -> Result<u64> {
    let sql = format!(
        "SELECT CAST(COUNT(*) AS BIGINT) AS counted FROM \
         (SELECT id FROM disputes WHERE {which} LIMIT {}) work",
        MAX_COUNTED + 1
    );
    let row = conn.query_one_raw(backend.statement(&sql, values)).await?;
    let counted: i64 = row.map(|row| row.try_get("", "counted")).transpose()?.unwrap_or(0);
    Ok(u64::try_from(counted).unwrap_or(0))
}

fn open(filter: &Filter, parameters: &mut Parameters) -> String {
    let mut terms = vec![AWAITS_ANSWER.to_owned()];
    let mut equal = |column: &str, value: Option<Value>| {
        terms.extend(value.map(|value| format!("{column} = {}", parameters.add(value))));
    };
    // Not by the index of all that somebody has: the one of the work is much smaller.
    equal("COALESCE(assigned_to, '')", filter.assigned_to.clone().map(Into::into));
    equal("channel", filter.channel.map(|channel| channel.to_value().into()));
    equal("merchant_id", filter.merchant_id.map(Into::into));
    equal("currency", filter.currency.as_ref().map(|code| code.to_ascii_uppercase().into()));
    if let Some(unassigned) = filter.unassigned {
        terms.push(format!("assigned_to IS {}", if unassigned { "NULL" } else { "NOT NULL" }));
    }
    terms.join(" AND ")
}
