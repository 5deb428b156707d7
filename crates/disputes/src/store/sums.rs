//! `dispute_sums` and the changes that are not in it yet: what statistics are made of.

use std::collections::BTreeMap;

use chrono::{Datelike, Months, NaiveDate, TimeDelta};
use payops_core::time::Timestamp;
use payops_platform::db::{Backend, Tx};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveEnum, FromQueryResult, IntoActiveModel, Value};
use serde::Deserialize;
use utoipa::ToSchema;

use super::dispute::Model as Dispute;
use crate::model::Status;

/// Sums are taken of billions and of the rest apart: neither can leave 64 bits, whatever the amounts.
const BILLION: i64 = 1_000_000_000;
/// How many changes one transaction folds.
const FOLDED_AT_ONCE: u64 = 2_000;
/// How many rows one INSERT carries: 9 columns each stay below the 32,766 parameters that SQLite takes.
const ROWS_PER_INSERT: usize = 1_000;
/// Seconds of a UTC day.
const DAY: i64 = 86_400;

/// One sum; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dispute_sums")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dimension: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub span: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub value: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub currency: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub outcome: String,
    pub count: i64,
    pub billions: i64,
    pub rest: i64,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What came or went.
pub mod change {
    use sea_orm::FromQueryResult;
    use sea_orm::entity::prelude::*;

    /// One change; the columns are explained in the migration.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "dispute_sum_changes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub dispute_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub version: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub count: i64,
        pub day: i64,
        pub channel: String,
        pub reason: String,
        pub assignee: String,
        pub currency: String,
        pub outcome: String,
        pub billions: i64,
        pub rest: i64,
    }

    /// Nothing is joined.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    /// A change that is taken out of the table.
    #[derive(Debug, Clone, FromQueryResult)]
    pub struct Taken {
        pub count: i64,
        pub day: i64,
        pub channel: String,
        pub reason: String,
        pub assignee: String,
        pub currency: String,
        pub outcome: String,
        pub billions: i64,
        pub rest: i64,
    }
}

/// What statistics can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Where they were opened.
    Channel,
    /// Why, in the channel's word.
    Reason,
    /// In which currency.
    Currency,
    /// Who works on them.
    Assignee,
}

impl Dimension {
    /// The name of the sums that hold it.
    fn kept(self) -> &'static str {
        match self {
            Self::Channel | Self::Currency => "channel",
            Self::Reason => "reason",
            Self::Assignee => "assignee",
        }
    }

    fn columns(self) -> Columns {
        match self {
            Self::Channel => Columns { sums: "value", changes: "channel", disputes: "channel" },
            Self::Reason => Columns { sums: "value", changes: "reason", disputes: "reason" },
            Self::Currency => Columns { sums: "currency", changes: "currency", disputes: "currency" },
            Self::Assignee => {
                Columns { sums: "value", changes: "assignee", disputes: "COALESCE(assigned_to, '')" }
            }
        }
    }
}

/// Where a dimension stands in each table.
struct Columns {
    sums: &'static str,
    changes: &'static str,
    disputes: &'static str,
}

/// How many disputes, and how much money, of one value, currency and outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    pub value: String,
    pub currency: String,
    pub outcome: String,
    pub count: i64,
    /// Minor units. It may exceed 64 bits.
    pub amount: i128,
}

/// As what a dispute counts.
fn outcome(status: Status) -> &'static str {
    match status {
        Status::Won => "won",
        Status::Lost => "lost",
        Status::ChargeRefunded => "refunded",
        Status::WarningClosed | Status::Prevented => "closed",
        Status::WarningNeedsResponse
        | Status::WarningUnderReview
        | Status::NeedsResponse
        | Status::UnderReview
        | Status::Unknown => "pending",
    }
}

/// The same, in SQL.
const OUTCOME: &str = "CASE status WHEN 'won' THEN 'won' WHEN 'lost' THEN 'lost' WHEN 'charge_refunded' THEN 'refunded' \
     WHEN 'warning_closed' THEN 'closed' WHEN 'prevented' THEN 'closed' ELSE 'pending' END";

/// Notes what a new dispute, or a changed one, means for the sums.
pub async fn note(tx: &Tx, before: Option<&Dispute>, after: &Dispute) -> Result<()> {
    let came = counted(after, after.version, 1);
    let went = before.map(|before| counted(before, after.version, -1));
    if before.is_some_and(|before| counted(before, after.version, 1) == came) {
        return Ok(());
    }
    let rows = went.into_iter().chain([came]).map(|row| row.into_active_model().reset_all());
    change::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(())
}

fn counted(dispute: &Dispute, version: i64, count: i64) -> change::Model {
    change::Model {
        dispute_id: dispute.id,
        version,
        count,
        day: dispute.disputed_at.timestamp().div_euclid(DAY),
        channel: dispute.channel.to_value(),
        reason: dispute.reason.clone(),
        assignee: dispute.assigned_to.clone().unwrap_or_default(),
        currency: dispute.currency.clone(),
        outcome: outcome(dispute.status).to_owned(),
        billions: count * (dispute.amount / BILLION),
        rest: count * (dispute.amount % BILLION),
    }
}

/// Dimension, span, its first day, value, currency and outcome.
type Key<'a> = (&'a str, &'a str, i64, &'a str, &'a str, &'a str);

/// Folds changes into the sums; says whether others are left.
pub async fn fold(tx: &Tx) -> Result<bool> {
    let take = format!(
        "DELETE FROM dispute_sum_changes WHERE (dispute_id, version, count) IN \
         (SELECT dispute_id, version, count FROM dispute_sum_changes ORDER BY dispute_id LIMIT {FOLDED_AT_ONCE}) \
         RETURNING count, day, channel, reason, assignee, currency, outcome, billions, rest"
    );
    let taken = change::Taken::find_by_statement(tx.statement(&take, [])).all(tx.conn()).await?;
    // In order: two that fold at once take the rows in the same one.
    let mut sums: BTreeMap<Key<'_>, (i64, i64, i64)> = BTreeMap::new();
    for change in &taken {
        let values =
            [("channel", &change.channel), ("reason", &change.reason), ("assignee", &change.assignee)];
        let spans = Span::ALL.map(|span| (span.as_str(), span.floor(change.day)));
        for (dimension, value) in values {
            for (span, day) in spans {
                let (currency, outcome) = (change.currency.as_str(), change.outcome.as_str());
                let (count, billions, rest) =
                    sums.entry((dimension, span, day, value.as_str(), currency, outcome)).or_default();
                *count += change.count;
                *billions += change.billions;
                *rest += change.rest;
            }
        }
    }
    let rows: Vec<ActiveModel> = sums
        .into_iter()
        .filter(|(_, sum)| *sum != (0, 0, 0))
        .map(|((dimension, span, day, value, currency, outcome), (count, billions, rest))| {
            let row = Model {
                dimension: dimension.to_owned(),
                span: span.to_owned(),
                day,
                value: value.to_owned(),
                currency: currency.to_owned(),
                outcome: outcome.to_owned(),
                count,
                billions,
                rest,
            };
            row.into_active_model().reset_all()
        })
        .collect();
    for batch in rows.chunks(ROWS_PER_INSERT) {
        let key =
            [Column::Dimension, Column::Span, Column::Day, Column::Value, Column::Currency, Column::Outcome];
        let added = |column: &str| Expr::cust(format!("dispute_sums.{column} + excluded.{column}"));
        let add = OnConflict::columns(key)
            .value(Column::Count, added("count"))
            .value(Column::Billions, added("billions"))
            .value(Column::Rest, added("rest"))
            .to_owned();
        Entity::insert_many(batch.to_vec()).on_conflict(add).exec_without_returning(tx.conn()).await?;
    }
    Ok(taken.len() as u64 == FOLDED_AT_ONCE)
}

/// Over how many days a sum is kept: what is asked for is put together from as few as can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    Year,
    Month,
    Day,
}

impl Span {
    /// The longest first.
    const ALL: [Self; 3] = [Self::Year, Self::Month, Self::Day];

    fn as_str(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
        }
    }

    /// The first day of the one that a day belongs to.
    fn floor(self, day: i64) -> i64 {
        let date = date_of(day);
        let first = match self {
            Self::Year => date.with_ordinal0(0),
            Self::Month => date.with_day0(0),
            Self::Day => Some(date),
        };
        first.map_or(day, day_of)
    }

    /// The first day of the one that begins on a day or after it.
    fn ceiling(self, day: i64) -> i64 {
        let floor = self.floor(day);
        let months = match self {
            _ if floor == day => return day,
            Self::Year => 12,
            Self::Month => 1,
            Self::Day => 0,
        };
        date_of(floor).checked_add_months(Months::new(months)).map_or(day, day_of)
    }

    /// The days from `first`, before `after`, in as few spans as can be, this one the longest.
    fn cover(self, first: i64, after: i64, found: &mut Vec<(Self, i64, i64)>) {
        let (begin, end) = (self.ceiling(first), self.floor(after));
        let shorter = match self {
            Self::Year => Self::Month,
            Self::Month => Self::Day,
            Self::Day => {
                found.extend((first < after).then_some((self, first, after)));
                return;
            }
        };
        if begin < end {
            shorter.cover(first, begin, found);
            found.push((self, begin, end));
            shorter.cover(end, after, found);
        } else {
            shorter.cover(first, after, found);
        }
    }
}

/// Days beyond what a date can be are none that a dispute has.
fn date_of(day: i64) -> NaiveDate {
    let epoch = NaiveDate::default();
    TimeDelta::try_days(day).and_then(|days| epoch.checked_add_signed(days)).unwrap_or(epoch)
}

fn day_of(date: NaiveDate) -> i64 {
    (date - NaiveDate::default()).num_days()
}

/// The instants that statistics are asked for: from the first, before the second. `None`: without end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    pub from: Option<Timestamp>,
    pub before: Option<Timestamp>,
}

/// From the first instant, before the second.
type Rest = (Timestamp, Timestamp);

impl Period {
    /// The whole UTC days in it (first, and first after them), and the rests at both ends.
    fn parts(self) -> (Option<(i64, i64)>, Vec<Rest>) {
        let start = |day: i64| Timestamp::from_timestamp(day * DAY, 0);
        let up = |instant: Timestamp| {
            let day = instant.timestamp().div_euclid(DAY);
            if start(day) == Some(instant) { day } else { day + 1 }
        };
        // Days beyond any dispute's; both fit into an instant.
        let first = self.from.map_or(-1_000_000, up);
        let after = self.before.map_or(1_000_000, |instant| instant.timestamp().div_euclid(DAY));
        if let (Some(from), Some(before)) = (self.from, self.before)
            && first >= after
        {
            return (None, vec![(from, before)]);
        }
        let head = self.from.and_then(|from| Some((from, start(first)?)));
        let tail = self.before.and_then(|before| Some((start(after)?, before)));
        let rests = [head, tail].into_iter().flatten().filter(|(from, before)| from < before);
        (Some((first, after)), rests.collect())
    }
}

/// The sums of a period, of all disputes or of a merchant's, in one statement.
pub async fn sums(
    conn: &impl ConnectionTrait,
    backend: Backend,
    dimension: Dimension,
    period: Period,
    merchant: Option<Uuid>,
) -> Result<Vec<Sum>> {
    #[derive(FromQueryResult)]
    struct Row {
        value: String,
        currency: String,
        outcome: String,
        count: i64,
        billions: i64,
        rest: i64,
    }
    let (parts, values) = match merchant {
        Some(merchant) => of_merchant(dimension, period, merchant),
        None => of_all(dimension, period),
    };
    let sum = |column: &str| format!("CAST(SUM({column}) AS BIGINT) AS {column}");
    let sql = format!(
        "SELECT value, currency, outcome, {}, {}, {} FROM ({}) parts GROUP BY value, currency, outcome \
         ORDER BY value, currency, outcome",
        sum("count"),
        sum("billions"),
        sum("rest"),
        parts.join(" UNION ALL ")
    );
    let rows = Row::find_by_statement(backend.statement(&sql, values)).all(conn).await?;
    let sum = |row: Row| Sum {
        value: row.value,
        currency: row.currency,
        outcome: row.outcome,
        count: row.count,
        amount: i128::from(row.billions) * i128::from(BILLION) + i128::from(row.rest),
    };
    Ok(rows.into_iter().map(sum).filter(|sum| sum.count != 0).collect())
}

/// What is read of the disputes themselves; aggregated at once, so that few rows leave the scan.
fn of_disputes(dimension: Dimension, filter: &str) -> String {
    format!(
        "SELECT {} AS value, currency, {OUTCOME} AS outcome, COUNT(*) AS count, \
         SUM(amount / {BILLION}) AS billions, SUM(amount % {BILLION}) AS rest \
         FROM disputes WHERE {filter} GROUP BY 1, 2, 3",
        dimension.columns().disputes
    )
}

fn of_merchant(dimension: Dimension, period: Period, merchant: Uuid) -> (Vec<String>, Vec<Value>) {
    let mut filter = "merchant_id = $1".to_owned();
    let mut values: Vec<Value> = vec![merchant.into()];
    for (instant, operator) in [(period.from, ">="), (period.before, "<")] {
        if let Some(instant) = instant {
            values.push(instant.into());
            filter = format!("{filter} AND disputed_at {operator} ${}", values.len());
        }
    }
    (vec![of_disputes(dimension, &filter)], values)
}

fn of_all(dimension: Dimension, period: Period) -> (Vec<String>, Vec<Value>) {
    let (days, rests) = period.parts();
    let (mut parts, mut values): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
    if let Some((first, after)) = days {
        values.extend([Value::from(first), Value::from(after)]);
        let Columns { sums, changes, .. } = dimension.columns();
        let (kept, mut spans) = (dimension.kept(), Vec::new());
        Span::Year.cover(first, after, &mut spans);
        for (span, first, after) in spans {
            values.extend([Value::from(first), Value::from(after)]);
            let (span, last) = (span.as_str(), values.len());
            parts.push(format!(
                "SELECT {sums} AS value, currency, outcome, count, billions, rest FROM dispute_sums \
                 WHERE dimension = '{kept}' AND span = '{span}' AND day >= ${} AND day < ${last}",
                last - 1
            ));
        }
        parts.push(format!(
            "SELECT {changes} AS value, currency, outcome, count, billions, rest FROM dispute_sum_changes \
             WHERE day >= $1 AND day < $2"
        ));
    }
    for (from, before) in rests {
        values.extend([Value::from(from), Value::from(before)]);
        let last = values.len();
        let filter = format!("disputed_at >= ${} AND disputed_at < ${last}", last - 1);
        parts.push(of_disputes(dimension, &filter));
    }
    (parts, values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn spans_hold_each_day_once_and_nothing_else(first in -40_000_i64..40_000, length in 0_i64..5_000) {
            let (after, mut spans) = (first + length, Vec::new());
            Span::Year.cover(first, after, &mut spans);
            let mut next = first;
            for (span, begin, end) in &spans {
                prop_assert_eq!(*begin, next);
                prop_assert_eq!((span.floor(*begin), span.floor(*end)), (*begin, *end));
                next = *end;
            }
            prop_assert_eq!(next, after);
            prop_assert!(spans.len() <= 5, "{:?}", spans);
        }
    }
}
