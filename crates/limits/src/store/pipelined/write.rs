//! Writes down what a batch has changed.

use futures::try_join;
use payops_platform::error::Result;
use sea_orm::ActiveEnum;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::session::{Session, prepare};
use crate::batch::Effects;
use crate::model::{Alert, LogRow, Payment, Release, Usage};
use crate::store::native::{ALERT, LOG, PAYMENT, RELEASE};

/// Updates must change every row that they are given: dividing by zero ends a transaction whose COMMIT is on its way.
macro_rules! all_changed {
    ($update:literal) => {
        concat!(
            "WITH changed AS (",
            $update,
            " RETURNING 1) SELECT 1 / (count(*) = cardinality($1))::int FROM changed"
        )
    };
}

const USAGES: &str = all_changed!(
    "/* limits.decide: counters */ UPDATE merchant_limits SET seq = n.seq, daily_used = n.daily_used, \
     monthly_used = n.monthly_used, pending_amount = n.pending, day_start = n.day_start, daily_reset_at = n.day_end, \
     month_start = n.month_start, monthly_reset_at = n.month_end, next_expiry_at = n.next_expiry, \
     daily_alert = n.daily_alert, monthly_alert = n.monthly_alert \
     FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[], \
     $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::smallint[], $12::smallint[]) \
     AS n(merchant_id, seq, daily_used, monthly_used, pending, day_start, day_end, month_start, month_end, \
     next_expiry, daily_alert, monthly_alert) \
     WHERE merchant_limits.merchant_id = n.merchant_id"
);

const CHANGED_PAYMENTS: &str = all_changed!(
    "/* limits.decide: changed payments */ UPDATE limit_payments SET state = n.state, \
     booked_amount = n.booked, booked_counted_amount = n.booked_counted, day_start = n.day_start, \
     month_start = n.month_start, released_amount = n.released, returned_amount = n.returned, \
     end_answer = n.end_answer, updated_at = n.updated_at \
     FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::timestamptz[], \
     $7::timestamptz[], $8::bigint[], $9::bigint[], $10::text[], $11::timestamptz[]) \
     AS n(merchant_id, payment_no, state, booked, booked_counted, day_start, month_start, released, returned, \
     end_answer, updated_at) \
     WHERE limit_payments.merchant_id = n.merchant_id AND limit_payments.payment_no = n.payment_no"
);

/// The statements that write.
#[derive(Debug)]
pub(super) struct Statements {
    usages: Statement,
    new_payments: Statement,
    changed_payments: Statement,
    releases: Statement,
    log: Statement,
    alerts: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self> {
        let new_payments = insert(
            "new payments",
            "limit_payments",
            PAYMENT,
            "uuid text text text bigint text text bigint text bigint uuid text timestamptz bigint bigint timestamptz timestamptz bigint bigint text text timestamptz timestamptz",
        );
        let releases = insert(
            "releases",
            "limit_releases",
            RELEASE,
            "uuid text text bigint bigint bigint text text timestamptz",
        );
        let log = insert(
            "log",
            "limit_usage_logs",
            LOG,
            "uuid bigint timestamptz text text text text bigint text bigint bigint bigint bigint bigint bigint bigint boolean text",
        );
        let alerts = insert(
            "alerts",
            "limit_alerts",
            ALERT,
            "uuid bigint text smallint boolean timestamptz bigint bigint timestamptz",
        );
        let texts = [USAGES, &new_payments, CHANGED_PAYMENTS, &releases, &log, &alerts];
        let [usages, new_payments, changed_payments, releases, log, alerts] = prepare(client, texts).await?;
        Ok(Self { usages, new_payments, changed_payments, releases, log, alerts })
    }
}

/// The statement that adds rows, given as one array a column, of these types.
fn insert(what: &str, table: &str, columns: &str, types: &str) -> String {
    let arrays = types.split(' ').enumerate().map(|(index, kind)| format!("${}::{kind}[]", index + 1));
    let arrays: Vec<String> = arrays.collect();
    let arrays = arrays.join(", ");
    format!("/* limits.decide: {what} */ INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays})")
}

/// One value of each row, in their order.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

impl Session {
    /// Writes the effects and commits, in one round trip: after a statement that fails, the server takes COMMIT for
    /// ROLLBACK. The merchants' rows are locked, so they are as they were read.
    pub(super) async fn save(&self, effects: &Effects) -> Result<()> {
        let commit = async { Ok(self.client.batch_execute("COMMIT").await?) };
        try_join!(
            self.change_usages(&effects.usages),
            self.add_payments(&effects.new_payments),
            self.change_payments(&effects.changed_payments),
            self.add_releases(&effects.releases),
            self.add_log(&effects.log),
            self.add_alerts(&effects.alerts),
            commit,
        )?;
        Ok(())
    }

    async fn change_usages(&self, rows: &[(Uuid, Usage)]) -> Result<()> {
        let usage = |value: fn(&Usage) -> i64| column(rows, |(_, usage)| value(usage));
        let time =
            |value: fn(&Usage) -> payops_core::time::Timestamp| column(rows, |(_, usage)| value(usage));
        self.write(
            &self.write.usages,
            &[
                &column(rows, |(merchant_id, _)| *merchant_id),
                &usage(|usage| usage.seq),
                &usage(|usage| usage.daily_used),
                &usage(|usage| usage.monthly_used),
                &usage(|usage| usage.pending),
                &time(|usage| usage.day.start),
                &time(|usage| usage.day.end),
                &time(|usage| usage.month.start),
                &time(|usage| usage.month.end),
                &column(rows, |(_, usage)| usage.next_expiry),
                &column(rows, |(_, usage)| usage.daily_alert),
                &column(rows, |(_, usage)| usage.monthly_alert),
            ],
            rows.len(),
        )
        .await
    }

    async fn add_payments(&self, rows: &[Payment]) -> Result<()> {
        self.write(
            &self.write.new_payments,
            &[
                &column(rows, |row| row.merchant_id),
                &column(rows, |row| row.payment_no.as_str()),
                &column(rows, |row| row.state.to_value()),
                &column(rows, |row| row.declined_by.map(crate::model::Rule::word)),
                &column(rows, |row| row.ttl_seconds),
                &column(rows, |row| row.order_no.as_deref()),
                &column(rows, |row| row.channel.as_deref()),
                &column(rows, |row| row.amount),
                &column(rows, |row| row.currency.as_str()),
                &column(rows, |row| row.counted),
                &column(rows, |row| row.rate.as_ref().map(|applied| applied.id)),
                &column(rows, |row| row.rate.as_ref().map(|applied| applied.rate.to_string())),
                &column(rows, |row| row.expires_at),
                &column(rows, |row| row.booked),
                &column(rows, |row| row.booked_counted),
                &column(rows, |row| row.day_start),
                &column(rows, |row| row.month_start),
                &column(rows, |row| row.released),
                &column(rows, |row| row.returned),
                &column(rows, |row| row.answer.as_str()),
                &column(rows, |row| row.end_answer.as_deref()),
                &column(rows, |row| row.created_at),
                &column(rows, |row| row.updated_at),
            ],
            rows.len(),
        )
        .await
    }

    async fn change_payments(&self, rows: &[Payment]) -> Result<()> {
        self.write(
            &self.write.changed_payments,
            &[
                &column(rows, |row| row.merchant_id),
                &column(rows, |row| row.payment_no.as_str()),
                &column(rows, |row| row.state.to_value()),
                &column(rows, |row| row.booked),
                &column(rows, |row| row.booked_counted),
                &column(rows, |row| row.day_start),
                &column(rows, |row| row.month_start),
                &column(rows, |row| row.released),
                &column(rows, |row| row.returned),
                &column(rows, |row| row.end_answer.as_deref()),
                &column(rows, |row| row.updated_at),
            ],
            rows.len(),
        )
        .await
    }

    async fn add_releases(&self, rows: &[Release]) -> Result<()> {
        self.write(
            &self.write.releases,
            &[
                &column(rows, |row| row.merchant_id),
                &column(rows, |row| row.payment_no.as_str()),
                &column(rows, |row| row.release_no.as_str()),
                &column(rows, |row| row.asked),
                &column(rows, |row| row.amount),
                &column(rows, |row| row.returned),
                &column(rows, |row| row.reason.as_deref()),
                &column(rows, |row| row.answer.as_str()),
                &column(rows, |row| row.created_at),
            ],
            rows.len(),
        )
        .await
    }

    async fn add_log(&self, rows: &[LogRow]) -> Result<()> {
        self.write(
            &self.write.log,
            &[
                &column(rows, |row| row.merchant_id),
                &column(rows, |row| row.seq),
                &column(rows, |row| row.created_at),
                &column(rows, |row| row.action.word()),
                &column(rows, |row| row.payment_no.as_deref()),
                &column(rows, |row| row.order_no.as_deref()),
                &column(rows, |row| row.release_no.as_deref()),
                &column(rows, |row| row.amount),
                &column(rows, |row| row.currency.as_str()),
                &column(rows, |row| row.counted),
                &column(rows, |row| row.before.daily),
                &column(rows, |row| row.after.daily),
                &column(rows, |row| row.before.monthly),
                &column(rows, |row| row.after.monthly),
                &column(rows, |row| row.before.pending),
                &column(rows, |row| row.after.pending),
                &column(rows, |row| row.success),
                &column(rows, |row| row.reason.as_deref()),
            ],
            rows.len(),
        )
        .await
    }

    async fn add_alerts(&self, rows: &[Alert]) -> Result<()> {
        self.write(
            &self.write.alerts,
            &[
                &column(rows, |row| row.merchant_id),
                &column(rows, |row| row.seq),
                &column(rows, |row| row.kind.to_value()),
                &column(rows, |row| row.threshold),
                &column(rows, |row| row.crossed),
                &column(rows, |row| row.window_start),
                &column(rows, |row| row.used),
                &column(rows, |row| row.limit),
                &column(rows, |row| row.created_at),
            ],
            rows.len(),
        )
        .await
    }
}
