//! Consume and reserve.

use payops_core::currency::Currency;

use super::assess::{assess, remaining};
use super::{Charge, Decision, Failure, Known, Outcome, Refusal, Step};
use crate::model::{ActionType, Counters, Payment, PaymentState, Rule};
use crate::rate::AppliedRate;

impl Step<'_> {
    /// Counts an amount, or holds it when `ttl_seconds` says for how long.
    pub(super) fn charge(&mut self, charge: &Charge, ttl_seconds: Option<i64>, known: Known<'_>) -> Outcome {
        if let Some(payment) = known.payment {
            return repeat(payment, charge, ttl_seconds);
        }
        let (counted, rate) = match self.account.counted(charge.amount, charge.currency, known.rate) {
            Ok(counted) => counted,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        let failures = assess(self.account, charge, counted, self.now);
        let before = self.account.usage.counters();
        let mut payment = self.payment(charge, ttl_seconds, counted, rate);
        match failures.first().map(|failure| failure.rule) {
            Some(rule) => self.decline(payment, rule, charge, failures),
            None if self.take(&mut payment).is_none() => Outcome::Refused(Refusal::OutOfRange),
            None => self.approve(payment, charge, before),
        }
    }

    /// Books or holds; `None` when what is used and held would leave 64 bits, which only happens without a limit. What is
    /// held can then always be booked.
    fn take(&mut self, payment: &mut Payment) -> Option<()> {
        let usage = &mut self.account.usage;
        let pending = usage.pending.checked_add(payment.counted)?;
        usage.daily_used.max(usage.monthly_used).checked_add(pending)?;
        if payment.state == PaymentState::Reserved {
            usage.pending = pending;
            usage.next_expiry = usage.next_expiry.into_iter().chain(payment.expires_at).min();
            return Some(());
        }
        usage.daily_used += payment.counted;
        usage.monthly_used += payment.counted;
        (payment.booked, payment.booked_counted) = (payment.amount, payment.counted);
        (payment.day_start, payment.month_start) = (Some(usage.day.start), Some(usage.month.start));
        Some(())
    }

    fn approve(&mut self, mut payment: Payment, charge: &Charge, before: Counters) -> Outcome {
        payment.answer = self.decision(&payment, charge, Vec::new());
        self.log(action_of(&payment), &payment, before, (payment.amount, payment.counted));
        let outcome = Outcome::approved(&payment.answer);
        self.changes.payment = Some(payment);
        outcome
    }

    fn decline(
        &mut self,
        mut payment: Payment,
        rule: Rule,
        charge: &Charge,
        failures: Vec<Failure>,
    ) -> Outcome {
        let before = self.account.usage.counters();
        let action = action_of(&payment);
        payment.answer = self.decision(&payment, charge, failures);
        payment.state = PaymentState::Declined;
        payment.declined_by = Some(rule);
        payment.expires_at = None;
        let row = self.log(action, &payment, before, (payment.amount, payment.counted));
        row.success = false;
        row.reason = Some(rule.reason().to_owned());
        let answer = payment.answer.as_str().into();
        self.changes.payment = Some(payment);
        Outcome::Declined { rule, answer, replayed: false }
    }

    fn payment(
        &self,
        charge: &Charge,
        ttl_seconds: Option<i64>,
        counted: i64,
        rate: Option<AppliedRate>,
    ) -> Payment {
        let ttl = ttl_seconds.and_then(chrono::Duration::try_seconds);
        Payment {
            merchant_id: self.operation.merchant_id,
            payment_no: self.operation.payment_no.clone(),
            state: if ttl_seconds.is_some() { PaymentState::Reserved } else { PaymentState::Consumed },
            declined_by: None,
            ttl_seconds,
            order_no: charge.order_no.clone(),
            channel: charge.channel.clone(),
            amount: charge.amount,
            currency: charge.currency,
            counted,
            rate,
            expires_at: ttl.and_then(|ttl| self.now.checked_add_signed(ttl)),
            booked: 0,
            booked_counted: 0,
            day_start: None,
            month_start: None,
            released: 0,
            returned: 0,
            answer: String::new(),
            end_answer: None,
            created_at: self.now,
            updated_at: self.now,
        }
    }

    fn decision(&self, payment: &Payment, charge: &Charge, failures: Vec<Failure>) -> String {
        let rate = payment.rate.as_ref();
        let decision = Decision {
            payment_no: Some(payment.payment_no.clone()),
            rate: rate.map(|applied| applied.rate.to_string()),
            rate_id: rate.map(|applied| applied.id),
            expires_at: payment.expires_at.filter(|_| failures.is_empty()),
            ..self.account.decision(charge, payment.counted, failures, self.now)
        };
        // Only maps with keys that are no text cannot be written, and there are none.
        serde_json::to_string(&decision).unwrap_or_default()
    }
}

impl super::Account {
    /// What an amount counts in the limit currency, and the rate that says so.
    ///
    /// # Errors
    /// [`Refusal::RateMissing`] and [`Refusal::OutOfRange`].
    pub fn counted(
        &self,
        amount: i64,
        currency: Currency,
        rate: Option<&AppliedRate>,
    ) -> Result<(i64, Option<AppliedRate>), Refusal> {
        let limited_in = self.terms.currency;
        if currency == limited_in {
            return Ok((amount, None));
        }
        let applied = rate.ok_or(Refusal::RateMissing(currency, limited_in))?;
        let counted = applied.rate.convert(amount, currency, limited_in);
        Ok((counted.ok_or(Refusal::OutOfRange)?, Some(applied.clone())))
    }

    /// The answer to a check, a consume or a reserve, with the account as it is now.
    pub fn decision(
        &self,
        charge: &Charge,
        counted: i64,
        failures: Vec<Failure>,
        now: payops_core::time::Timestamp,
    ) -> Decision {
        let limits = self.terms.limits(now);
        let usage = &self.usage;
        Decision {
            merchant_id: self.merchant_id,
            payment_no: None,
            allowed: failures.is_empty(),
            reason: failures.first().map(|failure| failure.reason),
            failures,
            amount: charge.amount,
            currency: charge.currency,
            currency_assumed: false,
            counted_amount: counted,
            limit_currency: self.terms.currency,
            rate: None,
            rate_id: None,
            daily_remaining: remaining(limits.daily, usage.daily_used, usage.pending),
            monthly_remaining: remaining(limits.monthly, usage.monthly_used, usage.pending),
            expires_at: None,
            as_of: now,
        }
    }
}

fn action_of(payment: &Payment) -> ActionType {
    if payment.ttl_seconds.is_some() { ActionType::Reserve } else { ActionType::Consume }
}

/// The same number again: the stored answer if everything is the same, else what differs.
fn repeat(payment: &Payment, charge: &Charge, ttl_seconds: Option<i64>) -> Outcome {
    let mut differing = Vec::new();
    let mut compare = |field, same: bool| {
        if !same {
            differing.push(field);
        }
    };
    compare("operation", payment.ttl_seconds.is_some() == ttl_seconds.is_some());
    compare("amount", payment.amount == charge.amount);
    compare("currency", payment.currency == charge.currency);
    compare("order_no", payment.order_no == charge.order_no);
    compare("channel", payment.channel == charge.channel);
    compare("ttl_seconds", payment.ttl_seconds == ttl_seconds);
    if differing.first() == Some(&"operation") {
        differing.retain(|field| *field != "ttl_seconds");
    }
    if !differing.is_empty() {
        return Outcome::Refused(Refusal::Mismatch(differing));
    }
    match payment.declined_by {
        Some(rule) => Outcome::Declined { rule, answer: payment.answer.as_str().into(), replayed: true },
        None => Outcome::replay(&payment.answer),
    }
}
