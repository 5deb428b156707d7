//! What must hold of the rows that are left, whatever led to them.

use std::collections::BTreeMap;

use super::store::Rows;
use crate::model::{ActionType, Counters, LogRow, Payment, PaymentState};

/// What is wrong with the log, the payments and the alerts.
pub(super) fn wrong(rows: &Rows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (merchant_id, account) in &rows.accounts {
        let log = rows.log.get(merchant_id).map_or(&[][..], Vec::as_slice);
        wrong.extend(chain(log, account.usage.counters()));
        let sums = sums(log);
        let counters = account.usage.counters();
        if sums != (counters.daily.into(), counters.monthly.into(), counters.pending.into()) {
            wrong.push(format!("{merchant_id}: the log sums up to {sums:?}, the counters are {counters:?}"));
        }
        let mut of_payment: BTreeMap<&str, Vec<&LogRow>> = BTreeMap::new();
        for row in log {
            if let Some(number) = &row.payment_no {
                of_payment.entry(number).or_default().push(row);
            }
        }
        let payments = rows.payments.values().filter(|payment| payment.merchant_id == *merchant_id);
        for payment in payments {
            let told = of_payment.remove(payment.payment_no.as_str()).unwrap_or_default();
            wrong.extend(story(payment, &told));
        }
        wrong.extend(of_payment.into_keys().map(|number| format!("{number} is in the log and no payment")));
    }
    wrong.extend(alerts(rows));
    wrong
}

/// Numbered without gaps, each row begins where the one before it ended, the last equals the counters.
fn chain(log: &[LogRow], counters: Counters) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last = Counters { daily: 0, monthly: 0, pending: 0 };
    for (index, row) in log.iter().enumerate() {
        if usize::try_from(row.seq) != Ok(index + 1) || row.before != last {
            wrong.push(format!("row {} does not follow the one before it: {row:?}", index + 1));
        }
        last = row.after;
    }
    if last != counters {
        wrong.push(format!("the log ends at {last:?}, the counters are {counters:?}"));
    }
    wrong
}

fn sums(log: &[LogRow]) -> (i128, i128, i128) {
    let delta = |after: i64, before: i64| i128::from(after) - i128::from(before);
    log.iter().fold((0, 0, 0), |(daily, monthly, pending), row| {
        (
            daily + delta(row.after.daily, row.before.daily),
            monthly + delta(row.after.monthly, row.before.monthly),
            pending + delta(row.after.pending, row.before.pending),
        )
    })
}

/// A payment is wholly there: decided by one row, ended by the rows of its state, counted at most once.
fn story(payment: &Payment, told: &[&LogRow]) -> Vec<String> {
    let times =
        |action, success| told.iter().filter(|row| row.action == action && row.success == success).count();
    let decided = if payment.ttl_seconds.is_some() { ActionType::Reserve } else { ActionType::Consume };
    let declined = payment.state == PaymentState::Declined;
    let expired = times(ActionType::Expire, true);
    let ends = (times(ActionType::Confirm, true), times(ActionType::Void, true), expired);
    let right = match payment.state {
        PaymentState::Declined | PaymentState::Consumed | PaymentState::Reserved => ends == (0, 0, 0),
        PaymentState::Confirmed => ends.0 == 1 && ends.1 == 0 && ends.2 <= 1,
        PaymentState::Voided => ends == (0, 1, 0),
        PaymentState::Expired => ends == (0, 0, 1),
    };
    let returned = told.iter().filter(|row| row.action == ActionType::Release).map(|row| row.counted);
    let once = times(decided, !declined) == 1 && times(decided, declined) == 0;
    // A confirmation after the end is the only one that is told to be late.
    let late = told.iter().any(|row| row.action == ActionType::Confirm && row.reason.is_some());
    let flagged = late == (payment.state == PaymentState::Confirmed && expired == 1);
    let whole = returned.sum::<i64>() == payment.returned && payment.released <= payment.booked;
    if right && once && flagged && whole {
        return Vec::new();
    }
    vec![format!("{payment:?} is told as {told:?}")]
}

/// A threshold of a window is told once each way in turn, upwards first.
fn alerts(rows: &Rows) -> Vec<String> {
    let mut told: BTreeMap<_, bool> = BTreeMap::new();
    let mut wrong = Vec::new();
    for alert in &rows.alerts {
        let key = (alert.merchant_id, format!("{:?}", alert.kind), alert.window_start, alert.threshold);
        if told.insert(key, alert.crossed).unwrap_or(false) == alert.crossed {
            wrong.push(format!("told twice: {alert:?}"));
        }
    }
    wrong
}
