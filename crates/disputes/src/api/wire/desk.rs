//! Work, figures and files of many disputes, on the wire.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use payops_core::time::{Timestamp, Zone};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Problems, check_line};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Dispute;
use crate::model::Channel;
use crate::ops::refund::{self, About, PayTwice, Reason};
use crate::ops::statistics;
use crate::store::queue::Urgency;
use crate::store::sums::{Dimension, Period};

/// How many disputes one call may change.
const MOST_AT_ONCE: usize = 500;

/// Which disputes are counted, and how.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatisticsQuery {
    /// Only of this merchant. A merchant's own token sees no others.
    pub merchant_id: Option<Uuid>,
    /// Only those opened on this day (YYYY-MM-DD) or later.
    pub from: Option<NaiveDate>,
    /// Only those opened on this day or earlier.
    pub to: Option<NaiveDate>,
    /// IANA name of the time zone whose days these are; UTC unless named.
    pub timezone: Option<String>,
    /// What the figures are grouped by; not at all unless named.
    pub group_by: Option<Dimension>,
}

impl StatisticsQuery {
    /// The instants meant, and the zone's own name.
    pub(crate) fn period(&self) -> Result<(Period, String)> {
        let zone = match &self.timezone {
            None => Zone::utc(),
            Some(name) => Zone::named(name).map_err(|error| {
                Error::invalid_field("timezone", error.to_string(), "应为 IANA 时区名称，例如 Asia/Shanghai")
            })?,
        };
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            return Err(Error::invalid_field("from", "from lies after to", "from 晚于 to"));
        }
        let day = |name: &str, date: Option<NaiveDate>| {
            let bad = |text: String| Error::invalid_field(name, text, "该日期超出可接受范围或在该时区不存在");
            date.map(|date| {
                let date = payops_core::time::business_date(date).map_err(|error| bad(error.to_string()))?;
                zone.day(date).map_err(|error| bad(error.to_string()))
            })
            .transpose()
        };
        let mut problems = Problems::default();
        let from = problems.note(day("from", self.from)).flatten();
        let to = problems.note(day("to", self.to)).flatten();
        problems.none()?;
        let period = Period { from: from.map(|day| day.start), before: to.map(|day| day.end) };
        Ok((period, zone.name().to_owned()))
    }
}

/// Figures of disputes. Counts are of all currencies; money is never added across them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Figures {
    /// All of them.
    pub total_count: i64,
    /// Decided for us.
    pub won_count: i64,
    /// Decided against us, conceded, or not answered in time.
    pub lost_count: i64,
    /// Not at their end.
    pub pending_count: i64,
    /// Ended by a refund of the payment.
    pub refunded_count: i64,
    /// Ended without a decision: inquiries that were closed, and disputes that were prevented.
    pub closed_count: i64,
    /// `won_count / (won_count + lost_count) * 100`, with two decimals, rounded down; null while nothing is decided.
    #[schema(value_type = Option<f64>)]
    pub win_rate: Option<Box<RawValue>>,
    /// The money, of each currency.
    pub money: Vec<Money>,
}

/// Money of one currency, in minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Money {
    /// ISO 4217.
    pub currency: String,
    /// What was disputed.
    #[schema(value_type = i128)]
    pub total_amount: i128,
    /// Of that, what was won.
    #[schema(value_type = i128)]
    pub won_amount: i128,
    /// What was lost.
    #[schema(value_type = i128)]
    pub lost_amount: i128,
    /// What is not at its end.
    #[schema(value_type = i128)]
    pub pending_amount: i128,
    /// What was refunded.
    #[schema(value_type = i128)]
    pub refunded_amount: i128,
}

impl Figures {
    fn of(figures: statistics::Figures) -> Result<Self> {
        let win_rate = figures.win_rate().map(RawValue::from_string).transpose().map_err(Error::internal)?;
        let money = |(currency, amounts): (String, statistics::Amounts)| Money {
            currency,
            total_amount: amounts.total,
            won_amount: amounts.won,
            lost_amount: amounts.lost,
            pending_amount: amounts.pending,
            refunded_amount: amounts.refunded,
        };
        Ok(Self {
            total_count: figures.total,
            won_count: figures.won,
            lost_count: figures.lost,
            pending_count: figures.pending,
            refunded_count: figures.refunded,
            closed_count: figures.closed,
            win_rate,
            money: figures.money.into_iter().map(money).collect(),
        })
    }
}

/// Figures of a period.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Statistics {
    /// The first day; null: from the beginning.
    pub from: Option<NaiveDate>,
    /// The last day; null: until now.
    pub to: Option<NaiveDate>,
    /// The time zone whose days these are.
    pub timezone: String,
    /// All of the period.
    #[serde(flatten)]
    pub all: Figures,
    /// What they are grouped by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Group>>,
}

/// Figures of the disputes that have one value in common.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Group {
    /// The value; null: nobody works on them.
    pub value: Option<String>,
    /// Their figures.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Statistics {
    pub(crate) fn of(
        query: &StatisticsQuery,
        timezone: String,
        found: statistics::Statistics,
    ) -> Result<Self> {
        let group = |(value, figures): (String, statistics::Figures)| {
            let figures = Figures::of(figures)?;
            Ok(Group { value: Some(value).filter(|value| !value.is_empty()), figures })
        };
        let groups: BTreeMap<_, _> = found.groups;
        let groups =
            query.group_by.map(|_| groups.into_iter().map(group).collect::<Result<_>>()).transpose()?;
        Ok(Self { from: query.from, to: query.to, timezone, all: Figures::of(found.all)?, groups })
    }
}

/// A dispute that waits for an answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Work {
    /// How soon an answer is needed.
    pub urgency: Urgency,
    /// The dispute.
    #[serde(flatten)]
    pub dispute: Dispute,
}

impl Work {
    pub(crate) fn at(now: Timestamp, (urgency, row): (Urgency, crate::store::dispute::Model)) -> Self {
        Self { urgency, dispute: Dispute::at(now, row) }
    }
}

/// Who works on several disputes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "dispute_ids": ["0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b"], "assigned_to": "agent-7"
}))]
pub struct BulkAssignment {
    /// The disputes, 1 to 500, each once.
    #[schema(min_items = 1, max_items = 500)]
    pub dispute_ids: Vec<Uuid>,
    /// The `sub` of the person; null takes them from whoever has them.
    #[schema(max_length = 200)]
    #[serde(deserialize_with = "Option::deserialize")]
    pub assigned_to: Option<String>,
}

impl BulkAssignment {
    pub(crate) fn check(&self) -> Result<()> {
        let distinct: HashSet<&Uuid> = self.dispute_ids.iter().collect();
        let mut problems = Problems::default();
        let count = self.dispute_ids.len();
        if !(1..=MOST_AT_ONCE).contains(&count) || distinct.len() != count {
            problems.refuse(
                "dispute_ids",
                format!("1 to {MOST_AT_ONCE} disputes are accepted, each once; {count} were given"),
                format!("允许 1 到 {MOST_AT_ONCE} 个不同的争议；收到 {count} 个"),
            );
        }
        if let Some(owner) = &self.assigned_to {
            problems.note(check_line("assigned_to", owner, 1, 200));
        }
        problems.none()
    }
}

/// How many were changed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Assigned {
    /// All that were named.
    pub count: usize,
}

/// More about the payment that is to be refunded.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PaymentQuery {
    /// The channel that the payment went through. Without it, nothing can be said of a payment that nobody disputes.
    pub channel: Option<Channel>,
    /// The channel's id of the payment or of its charge: finds disputes that could not be tied to our payment.
    pub channel_payment_id: Option<String>,
}

impl PaymentQuery {
    pub(crate) fn about(self, payment_no: String) -> Result<About> {
        let mut problems = Problems::default();
        problems.note(check_line("payment_no", &payment_no, 1, 64));
        if let Some(id) = &self.channel_payment_id {
            problems.note(check_line("channel_payment_id", id, 1, 128));
        }
        problems.none()?;
        Ok(About { payment_no, channel: self.channel, channel_payment_id: self.channel_payment_id })
    }
}

/// Whether a refund of a payment would pay the customer twice.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RefundAdvice {
    /// The payment.
    pub payment_no: String,
    /// `unknown` is not `no`.
    pub refund_would_pay_twice: PayTwice,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The oldest instant that this rests on; null: on none.
    pub known_as_of: Option<DateTime<Utc>>,
    /// The payment's disputes, each with the instant at which the channel was read (`channel_read_at`).
    pub disputes: Vec<Dispute>,
}

impl RefundAdvice {
    pub(crate) fn at(now: Timestamp, payment_no: String, known: refund::Known) -> Self {
        Self {
            payment_no,
            refund_would_pay_twice: known.verdict,
            reasons: known.reasons.into_iter().collect(),
            known_as_of: known.as_of,
            disputes: known.disputes.into_iter().map(|row| Dispute::at(now, row)).collect(),
        }
    }
}
