//! Release: giving back what was counted.

use super::assess::remaining;
use super::reservation::less;
use super::{Known, Outcome, Refusal, ReleaseAnswer, ReleaseRequest, Step, WindowReturn};
use crate::model::{ActionType, Payment, PaymentState, Release};

/// The number of a release that names none, which is of all that is left.
pub const FULL_RELEASE: &str = "full";

impl Step<'_> {
    /// Gives back an amount to the windows in which the payment was counted. A closed window gets nothing: what was
    /// taken yesterday never frees today's limit.
    pub(super) fn release(&mut self, request: &ReleaseRequest, known: Known<'_>) -> Outcome {
        let Some(payment) = known.payment else { return Outcome::Refused(Refusal::UnknownPayment) };
        if let Some(release) = known.release {
            return repeat(release, request);
        }
        if !matches!(payment.state, PaymentState::Consumed | PaymentState::Confirmed) {
            return Outcome::Refused(Refusal::WrongState(payment.state));
        }
        let left = payment.booked - payment.released;
        let amount = request.amount.unwrap_or(left);
        if amount > left || amount == 0 {
            return Outcome::Refused(Refusal::ReleaseExceeds(left));
        }
        if amount < left && request.release_no == FULL_RELEASE {
            // The next part would have the same number, and be taken for this one.
            return Outcome::Refused(Refusal::ReleaseUnnamed(left));
        }
        let mut payment = payment.clone();
        let before = self.account.usage.counters();
        payment.released += amount;
        let returned = returned_so_far(&payment) - payment.returned;
        payment.returned += returned;
        payment.updated_at = self.now;
        let Some(windows) = self.give_back(&payment, returned) else {
            return Outcome::Refused(Refusal::Inconsistent);
        };
        let release = self.released(&payment, request, (amount, returned), windows);
        let row = self.log(ActionType::Release, &payment, before, (amount, returned));
        row.release_no = Some(release.release_no.clone());
        row.reason.clone_from(&release.reason);
        let outcome = Outcome::approved(&release.answer);
        self.changes.payment = Some(payment);
        self.changes.release = Some(release);
        outcome
    }

    fn give_back(&mut self, payment: &Payment, returned: i64) -> Option<[WindowReturn; 2]> {
        let usage = &mut self.account.usage;
        let into = |window, open: bool| WindowReturn {
            window,
            returned: if open { returned } else { 0 },
            closed: !open,
        };
        let daily = into("daily", payment.day_start == Some(usage.day.start));
        let monthly = into("monthly", payment.month_start == Some(usage.month.start));
        let (day, month) =
            (less(usage.daily_used, daily.returned)?, less(usage.monthly_used, monthly.returned)?);
        (usage.daily_used, usage.monthly_used) = (day, month);
        Some([daily, monthly])
    }

    fn released(
        &self,
        payment: &Payment,
        request: &ReleaseRequest,
        (amount, returned): (i64, i64),
        windows: [WindowReturn; 2],
    ) -> Release {
        let usage = &self.account.usage;
        let limits = self.account.terms.limits(self.now);
        let answer = ReleaseAnswer {
            merchant_id: payment.merchant_id,
            payment_no: payment.payment_no.clone(),
            release_no: request.release_no.clone(),
            amount,
            currency: payment.currency,
            counted_amount: returned,
            releasable_amount: payment.booked - payment.released,
            windows,
            daily_remaining: remaining(limits.daily, usage.daily_used, usage.pending),
            monthly_remaining: remaining(limits.monthly, usage.monthly_used, usage.pending),
            as_of: self.now,
        };
        Release {
            merchant_id: payment.merchant_id,
            payment_no: payment.payment_no.clone(),
            release_no: request.release_no.clone(),
            asked: request.amount,
            amount,
            returned,
            reason: request.reason.clone(),
            answer: serde_json::to_string(&answer).unwrap_or_default(),
            created_at: self.now,
        }
    }
}

/// What all releases together give back in the limit currency: floor(counted × released ÷ booked), so that the last
/// one returns the remainder and a full release exactly what was counted.
fn returned_so_far(payment: &Payment) -> i64 {
    if payment.released == payment.booked {
        return payment.booked_counted;
    }
    let product = i128::from(payment.booked_counted) * i128::from(payment.released);
    // At most `booked_counted`, since `released` is below `booked`.
    i64::try_from(product / i128::from(payment.booked.max(1))).unwrap_or(payment.booked_counted)
}

fn repeat(release: &Release, request: &ReleaseRequest) -> Outcome {
    let mut differing = Vec::new();
    // Naming the whole amount and leaving it out mean the same.
    let same_amount = release.asked == request.amount || request.amount == Some(release.amount);
    if !same_amount {
        differing.push("amount");
    }
    if release.reason != request.reason {
        differing.push("reason");
    }
    if differing.is_empty() {
        Outcome::replay(&release.answer)
    } else {
        Outcome::Refused(Refusal::Mismatch(differing))
    }
}
