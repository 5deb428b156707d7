//! The words of merchant limits: what binds a merchant, what it has used, and what is known of one payment.

use payops_core::currency::Currency;
use payops_core::time::{Timestamp, Zone};
use sea_orm::sea_query::StringLen;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::rate::AppliedRate;
use crate::window::Span;

/// The three limits, in minor units of the merchant's limit currency. `None` is no limit; 0 allows nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// What a calendar day may bring.
    pub daily: Option<i64>,
    /// What a calendar month may bring.
    pub monthly: Option<i64>,
    /// What one transaction may bring.
    pub single_trans: Option<i64>,
}

impl Limits {
    /// One of the three.
    pub fn of(&self, kind: LimitKind) -> Option<i64> {
        match kind {
            LimitKind::Daily => self.daily,
            LimitKind::Monthly => self.monthly,
            LimitKind::SingleTrans => self.single_trans,
        }
    }
}

/// Where a limit in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitSource {
    /// A limit that holds for a time.
    Override,
    /// The merchant's own.
    Custom,
    /// The tier's.
    Tier,
}

/// Which of the three limits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumIter, DeriveActiveEnum,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// A calendar day.
    Daily,
    /// A calendar month.
    Monthly,
    /// One transaction.
    SingleTrans,
}

/// A limit that holds for a time, in place of the custom and the tier's one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Which limit it replaces.
    pub kind: LimitKind,
    /// Minor units of the merchant's limit currency.
    pub value: i64,
    /// First instant at which it holds.
    pub from: Timestamp,
    /// First instant at which it no longer does.
    pub to: Timestamp,
}

/// What binds a merchant: its tier, its own limits, and whether it is suspended.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The currency of the tier's limits, which the merchant's usage is counted in.
    pub currency: Currency,
    /// The zone of the merchant's days and months.
    pub zone: Zone,
    /// The tier's limits.
    pub tier: Limits,
    /// The merchant's own; `None` is "the tier's".
    pub custom: Limits,
    /// Limits that hold for a time, those of the past and the future included.
    pub overrides: Vec<Override>,
    /// Why the merchant is suspended, when it is.
    pub suspended: Option<String>,
    /// The payment channels that the tier allows; `None` is all.
    pub channels: Option<Vec<String>>,
    /// The payment currencies that the tier allows; `None` is all.
    pub currencies: Option<Vec<Currency>>,
    /// Percentages of a window's limit whose crossing is told, in ascending order.
    pub thresholds: Vec<i16>,
}

impl Terms {
    /// The limits in force at `now`: an override, else the merchant's own, else the tier's.
    pub fn limits(&self, now: Timestamp) -> Limits {
        Limits {
            daily: self.in_force(LimitKind::Daily, now).0,
            monthly: self.in_force(LimitKind::Monthly, now).0,
            single_trans: self.in_force(LimitKind::SingleTrans, now).0,
        }
    }

    /// One of the limits in force at `now`, and where it comes from.
    pub fn in_force(&self, kind: LimitKind, now: Timestamp) -> (Option<i64>, LimitSource) {
        if let Some(found) = self.overrides.iter().find(|o| o.kind == kind && o.from <= now && now < o.to) {
            return (Some(found.value), LimitSource::Override);
        }
        match self.custom.of(kind) {
            Some(value) => (Some(value), LimitSource::Custom),
            None => (self.tier.of(kind), LimitSource::Tier),
        }
    }
}

/// What a merchant has used of its windows. Amounts are minor units of the limit currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Number of the merchant's last row in the usage log.
    pub seq: i64,
    /// The day that is counted.
    pub day: Span,
    /// The month that is counted.
    pub month: Span,
    /// Consumed in the day.
    pub daily_used: i64,
    /// Consumed in the month.
    pub monthly_used: i64,
    /// Reserved and neither confirmed, voided nor expired.
    pub pending: i64,
    /// No reservation expires before this; `None` when none is open.
    pub next_expiry: Option<Timestamp>,
    /// The highest threshold, in percent, that the day's usage has been told to have crossed; 0 for none.
    pub daily_alert: i16,
    /// The same of the month.
    pub monthly_alert: i16,
}

/// What came of a payment number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// Refused by a rule; final.
    Declined,
    /// Counted at once.
    Consumed,
    /// Held until it is confirmed, voided or expires.
    Reserved,
    /// Was held, is counted.
    Confirmed,
    /// Was held, is free again.
    Voided,
    /// Was held for too long, is free again.
    Expired,
}

/// The rule that refuses a payment. The order is that in which rules are looked at.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    EnumIter,
    DeriveActiveEnum,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The merchant is suspended.
    Suspended,
    /// More than one transaction may bring.
    SingleTrans,
    /// More than is left of the day.
    Daily,
    /// More than is left of the month.
    Monthly,
    /// The tier does not allow the payment channel, or allows some and none was named.
    Channel,
    /// The tier does not allow the payment's currency.
    Currency,
}

impl Rule {
    /// The reason in the words that callers have always read.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Suspended => "Merchant is suspended",
            Self::SingleTrans => "Exceeds single transaction limit",
            Self::Daily => "Exceeds daily limit",
            Self::Monthly => "Exceeds monthly limit",
            Self::Channel => "Channel is not allowed",
            Self::Currency => "Currency is not allowed",
        }
    }

    /// The word of the rule in columns and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::SingleTrans => "single_trans",
            Self::Daily => "daily",
            Self::Monthly => "monthly",
            Self::Channel => "channel",
            Self::Currency => "currency",
        }
    }
}

/// Everything that is known of one payment number of one merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The gateway's number of the payment, unique per merchant.
    pub payment_no: String,
    /// What came of it.
    pub state: PaymentState,
    /// The rule that declined it.
    pub declined_by: Option<Rule>,
    /// How long it was to be held, for a reservation.
    pub ttl_seconds: Option<i64>,
    /// The gateway's order number, if it was named.
    pub order_no: Option<String>,
    /// The payment channel, if it was named.
    pub channel: Option<String>,
    /// Minor units of `currency`, as asked for.
    pub amount: i64,
    /// The payment's currency.
    pub currency: Currency,
    /// What `amount` counts in the limit currency.
    pub counted: i64,
    /// The rate it was counted at, when the currencies differ.
    pub rate: Option<AppliedRate>,
    /// When a reservation ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The amount that was booked, in the payment's currency; less than `amount` after a partial confirmation.
    pub booked: i64,
    /// What `booked` counts in the limit currency.
    pub booked_counted: i64,
    /// First instant of the day it was booked in.
    pub day_start: Option<Timestamp>,
    /// First instant of the month it was booked in.
    pub month_start: Option<Timestamp>,
    /// The sum of all releases, in the payment's currency.
    pub released: i64,
    /// The sum of what releases gave back, in the limit currency.
    pub returned: i64,
    /// What was answered to the consume or reserve, as JSON.
    pub answer: String,
    /// What was answered to the confirm or void, as JSON.
    pub end_answer: Option<String>,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One release of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment.
    pub payment_no: String,
    /// The caller's number of the release, unique per payment.
    pub release_no: String,
    /// Minor units of the payment's currency, as asked for; `None` is "all that is left".
    pub asked: Option<i64>,
    /// Minor units of the payment's currency.
    pub amount: i64,
    /// What was given back, in the limit currency, before closed windows are taken into account.
    pub returned: i64,
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// What was answered, as JSON.
    pub answer: String,
    /// When.
    pub created_at: Timestamp,
}

/// What a row of the usage log is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumIter, DeriveActiveEnum,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ActionType {
    /// An amount was counted, or was to be.
    Consume,
    /// An amount was given back.
    Release,
    /// A window closed and its counter began anew.
    Reset,
    /// An amount was held, or was to be.
    Reserve,
    /// A held amount was counted.
    Confirm,
    /// A held amount was let go.
    Void,
    /// A held amount was let go because its time was over.
    Expire,
}

impl ActionType {
    /// The word of the action in columns.
    pub fn word(self) -> &'static str {
        match self {
            Self::Consume => "consume",
            Self::Release => "release",
            Self::Reset => "reset",
            Self::Reserve => "reserve",
            Self::Confirm => "confirm",
            Self::Void => "void",
            Self::Expire => "expire",
        }
    }
}

/// The three counters of a merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Consumed in the day.
    pub daily: i64,
    /// Consumed in the month.
    pub monthly: i64,
    /// Held by reservations.
    pub pending: i64,
}

impl Usage {
    /// The counters as they stand.
    pub fn counters(&self) -> Counters {
        Counters { daily: self.daily_used, monthly: self.monthly_used, pending: self.pending }
    }
}

/// A row of the usage log. `before` of a row is `after` of the merchant's row before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The merchant's rows are numbered 1, 2, 3, ….
    pub seq: i64,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What it is about.
    pub action: ActionType,
    /// The payment; `None` for a reset.
    pub payment_no: Option<String>,
    /// The order, if one was named.
    pub order_no: Option<String>,
    /// The release, for a release.
    pub release_no: Option<String>,
    /// Minor units of `currency`.
    pub amount: i64,
    /// The payment's currency.
    pub currency: Currency,
    /// What the amount counts in the limit currency.
    pub counted: i64,
    /// The counters before.
    pub before: Counters,
    /// The counters after.
    pub after: Counters,
    /// Whether it was allowed.
    pub success: bool,
    /// Why not; or why an amount was released; or that a confirmation came late.
    pub reason: Option<String>,
}

/// A threshold that was crossed upwards or downwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The log row that crossed it.
    pub seq: i64,
    /// Which limit.
    pub kind: LimitKind,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// Percent of the limit.
    pub threshold: i16,
    /// Upwards is an alert, downwards the end of one.
    pub crossed: bool,
    /// Used and pending, afterwards.
    pub used: i64,
    /// The limit.
    pub limit: i64,
    /// When.
    pub created_at: Timestamp,
}

/// How an alert goes to somebody.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumIter, DeriveActiveEnum,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Posted to the receiver of webhooks.
    Webhook,
    /// Mailed to one address.
    Mail,
}

impl Channel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Webhook, Self::Mail];

    /// The word it is called by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
        }
    }
}

/// What has become of an alert at one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It will be tried, or tried again.
    Pending,
    /// The receiver has it.
    Delivered,
    /// Given up; it can be sent again.
    Failed,
}
