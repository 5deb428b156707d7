//! Confirm, void and expire: the ends of a reservation.

use payops_core::time::Timestamp;

use super::assess::remaining;
use super::{Account, Changes, Known, Outcome, Refusal, ReservationAnswer, Step, update_alerts};
use crate::model::{ActionType, Counters, Payment, PaymentState};
use crate::rate::AppliedRate;

/// Written into the log when a confirmation came after the reservation's end.
const LATE: &str = "confirmed after expiry";

/// How a reservation ended: what of it is free again, whether its time was over, and the rate that it was counted at.
#[derive(Default)]
struct Ended {
    freed: i64,
    late: bool,
    rate: Option<AppliedRate>,
}

impl Step<'_> {
    /// Counts a held amount, or a part of it, in the windows that are open now. The money has moved, so limits,
    /// suspension and expiry do not stop it; they are flagged.
    pub(super) fn confirm(&mut self, amount: Option<i64>, known: Known<'_>) -> Outcome {
        let Some(payment) = known.payment else { return Outcome::Refused(Refusal::UnknownPayment) };
        let amount = amount.unwrap_or(payment.amount);
        let late = match payment.state {
            PaymentState::Reserved => false,
            PaymentState::Expired => true,
            PaymentState::Confirmed if payment.booked == amount => return replay(payment),
            PaymentState::Confirmed => return Outcome::Refused(Refusal::Mismatch(vec!["amount"])),
            state => return Outcome::Refused(Refusal::WrongState(state)),
        };
        if amount > payment.amount {
            return Outcome::Refused(Refusal::ConfirmExceeds(payment.amount));
        }
        let mut payment = payment.clone();
        let before = self.account.usage.counters();
        let rate = if late { known.rate } else { payment.rate.as_ref() };
        let (counted, rate) = match self.book(&payment, amount, late, rate) {
            Ok(booked) => booked,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        let usage = self.account.usage;
        (payment.state, payment.updated_at) = (PaymentState::Confirmed, self.now);
        (payment.booked, payment.booked_counted) = (amount, counted);
        (payment.day_start, payment.month_start) = (Some(usage.day.start), Some(usage.month.start));
        let freed = if late { 0 } else { payment.counted - counted };
        self.end(payment, ActionType::Confirm, before, &Ended { freed, late, rate })
    }

    /// Lets a held amount go. What has expired is free already.
    pub(super) fn void(&mut self, known: Known<'_>) -> Outcome {
        let Some(payment) = known.payment else { return Outcome::Refused(Refusal::UnknownPayment) };
        match payment.state {
            PaymentState::Reserved => {}
            PaymentState::Voided => return replay(payment),
            PaymentState::Expired => {
                return Outcome::replay(&self.answer(payment, &Ended::default()));
            }
            state => return Outcome::Refused(Refusal::WrongState(state)),
        }
        let mut payment = payment.clone();
        let before = self.account.usage.counters();
        let Some(pending) = less(before.pending, payment.counted) else {
            return Outcome::Refused(Refusal::Inconsistent);
        };
        self.account.usage.pending = pending;
        (payment.state, payment.updated_at) = (PaymentState::Voided, self.now);
        let freed = payment.counted;
        self.end(payment, ActionType::Void, before, &Ended { freed, ..Ended::default() })
    }

    /// Counts what is confirmed at the rate of its reservation. One that came too late is counted as a new payment is: what
    /// was held is free, and the merchant may be limited in another currency since.
    fn book(
        &mut self,
        payment: &Payment,
        amount: i64,
        late: bool,
        rate: Option<&AppliedRate>,
    ) -> Result<(i64, Option<AppliedRate>), Refusal> {
        let (counted, rate) = if !late && amount == payment.amount {
            (payment.counted, rate.cloned())
        } else {
            self.account.counted(amount, payment.currency, rate)?
        };
        let usage = &mut self.account.usage;
        let held = if late { 0 } else { payment.counted };
        let pending = less(usage.pending, held).ok_or(Refusal::Inconsistent)?;
        let daily = usage.daily_used.checked_add(counted).ok_or(Refusal::OutOfRange)?;
        let monthly = usage.monthly_used.checked_add(counted).ok_or(Refusal::OutOfRange)?;
        (usage.pending, usage.daily_used, usage.monthly_used) = (pending, daily, monthly);
        Ok((counted, rate))
    }

    fn end(&mut self, mut payment: Payment, action: ActionType, before: Counters, ended: &Ended) -> Outcome {
        let late = ended.late;
        let answer = self.answer(&payment, ended);
        let money = match action {
            ActionType::Confirm => (payment.booked, payment.booked_counted),
            _ => (payment.amount, payment.counted),
        };
        let row = self.log(action, &payment, before, money);
        row.reason = late.then(|| LATE.to_owned());
        let outcome = Outcome::approved(&answer);
        payment.end_answer = Some(answer);
        self.changes.payment = Some(payment);
        outcome
    }

    fn answer(&self, payment: &Payment, ended: &Ended) -> String {
        let usage = &self.account.usage;
        let limits = self.account.terms.limits(self.now);
        let beyond = |limit: Option<i64>, used: i64| {
            limit.is_some_and(|limit| i128::from(used) + i128::from(usage.pending) > i128::from(limit))
        };
        let answer = ReservationAnswer {
            merchant_id: payment.merchant_id,
            payment_no: payment.payment_no.clone(),
            status: payment.state,
            amount: payment.booked,
            currency: payment.currency,
            counted_amount: payment.booked_counted,
            rate: ended.rate.as_ref().map(|applied| applied.rate.to_string()),
            rate_id: ended.rate.as_ref().map(|applied| applied.id),
            freed_amount: ended.freed,
            late: ended.late,
            over_limit: beyond(limits.daily, usage.daily_used) || beyond(limits.monthly, usage.monthly_used),
            daily_remaining: remaining(limits.daily, usage.daily_used, usage.pending),
            monthly_remaining: remaining(limits.monthly, usage.monthly_used, usage.pending),
            as_of: self.now,
        };
        serde_json::to_string(&answer).unwrap_or_default()
    }
}

impl Account {
    /// Lets a reservation go whose time is over at `now`; any other payment is left alone.
    pub(super) fn expire(&mut self, payment: &mut Payment, now: Timestamp, changes: &mut Changes) {
        let over = payment.expires_at.is_some_and(|end| end <= now);
        if payment.state != PaymentState::Reserved || !over {
            return;
        }
        let before = self.usage.counters();
        // The sum of what is held is never below one of its parts; an audit tells if it is.
        self.usage.pending = less(before.pending, payment.counted).unwrap_or(0);
        (payment.state, payment.updated_at) = (PaymentState::Expired, now);
        let money = (payment.amount, payment.currency, payment.counted);
        let mut row = self.log_row(ActionType::Expire, now, before, money);
        row.payment_no = Some(payment.payment_no.clone());
        row.order_no.clone_from(&payment.order_no);
        changes.log.push(row);
        update_alerts(self, now, &mut changes.alerts);
    }
}

/// `from` less `amount`, unless that would be below zero.
pub(super) fn less(from: i64, amount: i64) -> Option<i64> {
    from.checked_sub(amount).filter(|left| *left >= 0)
}

fn replay(payment: &Payment) -> Outcome {
    Outcome::replay(payment.end_answer.as_deref().unwrap_or("{}"))
}
