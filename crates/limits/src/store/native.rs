//! The rows of a decision as the native drivers of both databases read and write them.

use payops_platform::error::Result;
use sea_orm::ActiveEnum;

use super::hot::{AccountRow, PaymentRow, ReleaseRow};
use crate::model::{PaymentState, Rule};

/// In the order of [`account`].
pub(super) const ACCOUNT: &str = "m.merchant_id, m.timezone, m.daily_used, m.monthly_used, m.pending_amount, m.day_start, \
     m.daily_reset_at, m.month_start, m.monthly_reset_at, m.next_expiry_at, m.custom_daily_limit, \
     m.custom_monthly_limit, m.custom_single_trans_limit, m.has_overrides, m.is_suspended, m.suspended_reason, \
     m.daily_alert, m.monthly_alert, m.seq, t.currency, t.daily_limit, t.monthly_limit, t.single_trans_limit, \
     t.allowed_channels, t.allowed_currencies, t.alert_thresholds \
     FROM merchant_limits m JOIN merchant_tiers t ON t.id = m.tier_id";

/// Of `limit_payments`, in the order of [`payment`] and of both drivers' inserts.
pub(super) const PAYMENT: &str = "merchant_id, payment_no, state, declined_by, ttl_seconds, order_no, channel, amount, \
     currency, counted_amount, rate_id, rate, expires_at, booked_amount, booked_counted_amount, day_start, \
     month_start, released_amount, returned_amount, answer, end_answer, created_at, updated_at";

/// Of `limit_releases`, in the order of [`release`] and of both drivers' inserts.
pub(super) const RELEASE: &str = "merchant_id, payment_no, release_no, asked_amount, amount, returned_amount, reason, \
     answer, created_at";

/// Of `limit_usage_logs`, in the order of every insert.
pub(super) const LOG: &str = "merchant_id, seq, created_at, action_type, payment_no, order_no, release_no, amount, \
     currency, counted_amount, daily_used_before, daily_used_after, monthly_used_before, monthly_used_after, \
     pending_before, pending_after, success, failure_reason";

/// Of `limit_alerts`, in the order of every insert.
pub(super) const ALERT: &str =
    "merchant_id, seq, limit_kind, threshold, crossed, window_start, used_amount, limit_amount, created_at";

/// A row of either driver.
pub(super) trait Cells {
    /// The value of a column, counted from 0.
    fn cell<T>(&self, column: usize) -> Result<T>
    where
        T: for<'r> tokio_postgres::types::FromSql<'r> + rusqlite::types::FromSql;
}

impl Cells for tokio_postgres::Row {
    fn cell<T>(&self, column: usize) -> Result<T>
    where
        T: for<'r> tokio_postgres::types::FromSql<'r>,
    {
        Ok(self.try_get(column)?)
    }
}

impl Cells for rusqlite::Row<'_> {
    fn cell<T>(&self, column: usize) -> Result<T>
    where
        T: rusqlite::types::FromSql,
    {
        Ok(self.get(column)?)
    }
}

/// A merchant and its tier, from the columns of [`ACCOUNT`].
pub(super) fn account(row: &impl Cells) -> Result<AccountRow> {
    Ok(AccountRow {
        merchant_id: row.cell(0)?,
        timezone: row.cell(1)?,
        daily_used: row.cell(2)?,
        monthly_used: row.cell(3)?,
        pending_amount: row.cell(4)?,
        day_start: row.cell(5)?,
        daily_reset_at: row.cell(6)?,
        month_start: row.cell(7)?,
        monthly_reset_at: row.cell(8)?,
        next_expiry_at: row.cell(9)?,
        custom_daily_limit: row.cell(10)?,
        custom_monthly_limit: row.cell(11)?,
        custom_single_trans_limit: row.cell(12)?,
        has_overrides: row.cell(13)?,
        is_suspended: row.cell(14)?,
        suspended_reason: row.cell(15)?,
        daily_alert: row.cell(16)?,
        monthly_alert: row.cell(17)?,
        seq: row.cell(18)?,
        currency: row.cell(19)?,
        daily_limit: row.cell(20)?,
        monthly_limit: row.cell(21)?,
        single_trans_limit: row.cell(22)?,
        allowed_channels: row.cell(23)?,
        allowed_currencies: row.cell(24)?,
        alert_thresholds: row.cell(25)?,
    })
}

/// From the columns of [`PAYMENT`].
pub(super) fn payment(row: &impl Cells) -> Result<PaymentRow> {
    let (state, declined_by): (String, Option<String>) = (row.cell(2)?, row.cell(3)?);
    Ok(PaymentRow {
        merchant_id: row.cell(0)?,
        payment_no: row.cell(1)?,
        state: PaymentState::try_from_value(&state)?,
        declined_by: declined_by.map(|rule| Rule::try_from_value(&rule)).transpose()?,
        ttl_seconds: row.cell(4)?,
        order_no: row.cell(5)?,
        channel: row.cell(6)?,
        amount: row.cell(7)?,
        currency: row.cell(8)?,
        counted_amount: row.cell(9)?,
        rate_id: row.cell(10)?,
        rate: row.cell(11)?,
        expires_at: row.cell(12)?,
        booked_amount: row.cell(13)?,
        booked_counted_amount: row.cell(14)?,
        day_start: row.cell(15)?,
        month_start: row.cell(16)?,
        released_amount: row.cell(17)?,
        returned_amount: row.cell(18)?,
        answer: row.cell(19)?,
        end_answer: row.cell(20)?,
        created_at: row.cell(21)?,
        updated_at: row.cell(22)?,
    })
}

/// From the columns of [`RELEASE`].
pub(super) fn release(row: &impl Cells) -> Result<ReleaseRow> {
    Ok(ReleaseRow {
        merchant_id: row.cell(0)?,
        payment_no: row.cell(1)?,
        release_no: row.cell(2)?,
        asked_amount: row.cell(3)?,
        amount: row.cell(4)?,
        returned_amount: row.cell(5)?,
        reason: row.cell(6)?,
        answer: row.cell(7)?,
        created_at: row.cell(8)?,
    })
}
