//! Whether a merchant may take a payment, and what that does to its usage: pure, total, one operation at a time.
//!
//! [`Account::apply`] is the whole of it. The store loads accounts and what is known of the payments, applies the
//! operations of a batch one after another, and writes down what changed.

mod answer;
mod assess;
mod charge;
mod outcome;
mod release;
mod reservation;
#[cfg(test)]
pub(crate) mod tests;
mod threshold;

use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use uuid::Uuid;

pub use answer::{Decision, Failure, ReleaseAnswer, ReservationAnswer, WindowReturn};
pub use assess::{assess, remaining};
pub use outcome::{Approval, Outcome, Refusal};
pub use release::FULL_RELEASE;
pub use threshold::update_alerts;

use crate::model::{ActionType, Alert, Counters, LogRow, Payment, Release, Terms, Usage};
use crate::rate::AppliedRate;
use crate::window::Period;

/// What is asked of the service, about one payment of one merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The gateway's number of the payment.
    pub payment_no: String,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Count an amount at once.
    Consume(Charge),
    /// Hold an amount for some seconds.
    Reserve(Charge, i64),
    /// Count a held amount, or this part of it.
    Confirm(Option<i64>),
    /// Let a held amount go.
    Void,
    /// Give back what was counted.
    Release(ReleaseRequest),
    /// Only let go what has expired; the payment number is empty.
    Sweep,
}

/// An amount that is to be counted or held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Minor units of `currency`, above zero.
    pub amount: i64,
    /// The payment's currency.
    pub currency: Currency,
    /// The gateway's order number.
    pub order_no: Option<String>,
    /// The payment channel.
    pub channel: Option<String>,
}

/// What is to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRequest {
    /// The caller's number of the release.
    pub release_no: String,
    /// Minor units of the payment's currency; `None` is all that is left.
    pub amount: Option<i64>,
    /// Why.
    pub reason: Option<String>,
}

/// A merchant as the decision sees it.
#[derive(Debug, Clone)]
pub struct Account {
    /// The merchant.
    pub merchant_id: Uuid,
    /// What binds it.
    pub terms: Terms,
    /// What it has used.
    pub usage: Usage,
}

/// What is known of the payment that an operation names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'k> {
    /// The payment, if the number was used before.
    pub payment: Option<&'k Payment>,
    /// The release, if its number was used before.
    pub release: Option<&'k Release>,
    /// The rate from the operation's currency to the account's, where they differ and there is one.
    pub rate: Option<&'k AppliedRate>,
}

/// What an operation changes. The account is changed in place.
#[derive(Debug, Default)]
pub struct Changes {
    /// The payment as it is afterwards.
    pub payment: Option<Payment>,
    /// A new release.
    pub release: Option<Release>,
    /// New rows of the usage log.
    pub log: Vec<LogRow>,
    /// Thresholds that were crossed.
    pub alerts: Vec<Alert>,
}

impl Account {
    /// Decides an operation at `now`, which is moved up to the open day's start if a clock went back.
    /// [`Account::advance`] comes first.
    pub fn apply(
        &mut self,
        operation: &Operation,
        known: Known<'_>,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Outcome {
        let mut step = Step { now: self.not_before_the_day(now), account: self, operation, changes };
        match &operation.action {
            Action::Consume(charge) => step.charge(charge, None, known),
            Action::Reserve(charge, ttl) => step.charge(charge, Some(*ttl), known),
            Action::Confirm(amount) => step.confirm(*amount, known),
            Action::Void => step.void(known),
            Action::Release(request) => step.release(request, known),
            Action::Sweep => Outcome::Swept,
        }
    }

    /// Opens new windows where the old ones are over at `now`, and lets go the reservations among `due` (those that
    /// the store found to be over) whose time has come. Their payments are changed in place.
    pub fn advance(&mut self, now: Timestamp, due: &mut [Payment], changes: &mut Changes) {
        let now = self.not_before_the_day(now);
        self.roll(now, changes);
        for payment in due {
            self.expire(payment, now, changes);
        }
    }

    /// A window never moves backward, whatever a clock says.
    fn not_before_the_day(&self, now: Timestamp) -> Timestamp {
        now.max(self.usage.day.start)
    }

    fn roll(&mut self, now: Timestamp, changes: &mut Changes) {
        let before = self.usage.counters();
        let zone = &self.terms.zone;
        // An instant beyond the calendar stays in the last window there is.
        let day = Period::Day.rolled(zone, self.usage.day, now).ok().flatten();
        let month = Period::Month.rolled(zone, self.usage.month, now).ok().flatten();
        if let Some(day) = day {
            self.usage.day = day;
            self.usage.daily_used = 0;
            self.usage.daily_alert = 0;
        }
        if let Some(month) = month {
            self.usage.month = month;
            self.usage.monthly_used = 0;
            self.usage.monthly_alert = 0;
        }
        if day.is_some() || month.is_some() {
            let currency = self.terms.currency;
            let row = self.log_row(ActionType::Reset, now, before, (0, currency, 0));
            changes.log.push(row);
        }
    }

    /// The next row of the log: what happened between `before` and the counters as they are now. `money` is the
    /// amount, its currency and what it counts.
    fn log_row(
        &mut self,
        action: ActionType,
        now: Timestamp,
        before: Counters,
        (amount, currency, counted): (i64, Currency, i64),
    ) -> LogRow {
        self.usage.seq += 1;
        LogRow {
            merchant_id: self.merchant_id,
            seq: self.usage.seq,
            created_at: now,
            action,
            payment_no: None,
            order_no: None,
            release_no: None,
            amount,
            currency,
            counted,
            before,
            after: self.usage.counters(),
            success: true,
            reason: None,
        }
    }
}

/// One operation on its way.
struct Step<'s> {
    account: &'s mut Account,
    operation: &'s Operation,
    now: Timestamp,
    changes: &'s mut Changes,
}

impl Step<'_> {
    /// Writes the log row of a payment's change, and tells the thresholds it crossed.
    fn log(
        &mut self,
        action: ActionType,
        payment: &Payment,
        before: Counters,
        (amount, counted): (i64, i64),
    ) -> &mut LogRow {
        let mut row = self.account.log_row(action, self.now, before, (amount, payment.currency, counted));
        row.payment_no = Some(payment.payment_no.clone());
        row.order_no.clone_from(&payment.order_no);
        update_alerts(self.account, self.now, &mut self.changes.alerts);
        self.changes.log.push(row);
        let last = self.changes.log.len() - 1;
        &mut self.changes.log[last]
    }
}
