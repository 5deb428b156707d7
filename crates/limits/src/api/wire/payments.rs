//! One payment on the wire.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::UsageLog;
use crate::model::{Payment, PaymentState, Release, Rule};
use crate::ops::usage::PaymentHistory;

/// What is held for one payment, and how that came about.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PaymentStanding {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The gateway's number of the payment.
    pub payment_no: String,
    /// What came of it. A reservation whose time is over is expired, whether or not anybody has looked at it since.
    pub status: PaymentState,
    /// The first rule that declined it.
    pub declined_by: Option<Rule>,
    /// The gateway's order number.
    pub order_no: Option<String>,
    /// The payment channel.
    pub channel: Option<String>,
    /// Minor units of `currency`, as asked for.
    pub amount: i64,
    /// The payment's currency.
    pub currency: String,
    /// What `amount` counts in minor units of the limit currency.
    pub counted_amount: i64,
    /// The rate it was counted at, where the currencies differ.
    pub rate: Option<String>,
    /// The id of that rate.
    pub rate_id: Option<Uuid>,
    /// Held by the reservation now, in minor units of the limit currency.
    pub held_amount: i64,
    /// When the reservation ends, or ended, by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// Booked in the end, in minor units of `currency`.
    pub booked_amount: i64,
    /// The same in minor units of the limit currency.
    pub booked_counted_amount: i64,
    /// The sum of its releases, in minor units of `currency`.
    pub released_amount: i64,
    /// What may still be released.
    pub releasable_amount: i64,
    /// When it was decided.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Its releases, the first first.
    pub releases: Vec<PaymentRelease>,
    /// What the usage log says of it, the first first.
    pub history: Vec<UsageLog>,
    /// When this was so.
    pub as_of: DateTime<Utc>,
}

/// One release of a payment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PaymentRelease {
    /// The caller's number of the release.
    pub release_no: String,
    /// Minor units of the payment's currency.
    pub amount: i64,
    /// What that counted in minor units of the limit currency.
    pub counted_amount: i64,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl From<PaymentHistory> for PaymentStanding {
    fn from(history: PaymentHistory) -> Self {
        let PaymentHistory { payment, releases, log, now } = history;
        let status = status(&payment, now);
        Self {
            merchant_id: payment.merchant_id,
            payment_no: payment.payment_no,
            status,
            declined_by: payment.declined_by,
            order_no: payment.order_no,
            channel: payment.channel,
            amount: payment.amount,
            currency: payment.currency.to_string(),
            counted_amount: payment.counted,
            rate: payment.rate.as_ref().map(|applied| applied.rate.to_string()),
            rate_id: payment.rate.as_ref().map(|applied| applied.id),
            held_amount: if status == PaymentState::Reserved { payment.counted } else { 0 },
            expires_at: payment.expires_at,
            booked_amount: payment.booked,
            booked_counted_amount: payment.booked_counted,
            released_amount: payment.released,
            releasable_amount: payment.booked - payment.released,
            created_at: payment.created_at,
            updated_at: payment.updated_at,
            releases: releases.into_iter().map(PaymentRelease::from).collect(),
            history: log.into_iter().map(UsageLog::from).collect(),
            as_of: now,
        }
    }
}

impl From<Release> for PaymentRelease {
    fn from(release: Release) -> Self {
        Self {
            release_no: release.release_no,
            amount: release.amount,
            counted_amount: release.returned,
            reason: release.reason,
            created_at: release.created_at,
        }
    }
}

fn status(payment: &Payment, now: DateTime<Utc>) -> PaymentState {
    let over = payment.expires_at.is_some_and(|end| end <= now);
    if payment.state == PaymentState::Reserved && over { PaymentState::Expired } else { payment.state }
}
