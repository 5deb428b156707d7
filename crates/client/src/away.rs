//! What a gateway does with payments while the limit service is away.

use std::sync::{Arc, Mutex, PoisonError};

use payops_core::money::Money;

use crate::error::{Absence, CallError};
use crate::limits::LimitsClient;
use crate::wire::{Charge, Decision};

/// What a gateway does with a payment that the limit service, being away, cannot decide. It has to be chosen: there is
/// no default.
#[derive(Debug, Clone)]
pub enum WhenAway {
    /// Do not take it. No limit is ever exceeded, and no payment is taken while the service is away.
    Decline,
    /// Take it within bounds, and have it counted when the service is back. What the limits then decline is what this
    /// choice can cost.
    TakeUpTo(Arc<StandIn>),
}

/// How much a gateway takes without a decision. Payments in another currency than that of the bounds are not taken.
///
/// What was taken is counted in this process only: with several gateways, each has bounds of its own.
#[derive(Debug)]
pub struct StandIn {
    per_payment: Money,
    in_all: i64,
    taken: Mutex<i64>,
}

impl StandIn {
    /// Takes payments of at most `per_payment` each, as long as no more than `in_all` (minor units of the same currency)
    /// waits to be counted.
    pub fn new(per_payment: Money, in_all: i64) -> Self {
        Self { per_payment, in_all, taken: Mutex::new(0) }
    }

    /// What was taken and waits to be counted.
    pub fn taken(&self) -> Money {
        let taken = *self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        Money::new(taken, self.per_payment.currency)
    }

    /// Counts a payment that an earlier process of this gateway took, and that still waits.
    pub fn resume(&self, money: Money) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_add(money.amount);
    }

    /// Makes room again: the payment is counted, or is known to be none.
    pub fn settle(&self, money: Money) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(money.amount).max(0);
    }

    fn take(&self, money: Money) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = money.currency == self.per_payment.currency && money.amount <= self.per_payment.amount;
        match taken.checked_add(money.amount).filter(|sum| fits && *sum <= self.in_all) {
            Some(sum) => {
                *taken = sum;
                true
            }
            None => false,
        }
    }
}

/// Whether a gateway goes on with a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Yes: it is counted.
    Counted(Decision),
    /// No, by a rule; final for its number.
    Declined(Decision),
    /// Yes, though the service is away: it is within the bounds of the stand-in, and is to be counted later under the
    /// same number ([`LimitsClient::consume`], then [`StandIn::settle`]).
    StoodIn(Absence),
    /// No, since the service is away. The call may have arrived all the same: see [`LimitsClient::take_back`].
    NotTaken(Absence),
}

impl LimitsClient {
    /// Counts a payment as [`consume`](Self::consume) does, and applies the gateway's choice when the service is away.
    ///
    /// # Errors
    /// Every error but [`CallError::Away`]: none of them is a yes.
    pub async fn admit(&self, charge: &Charge, when_away: &WhenAway) -> Result<Admission, CallError> {
        match (self.consume(charge).await, when_away) {
            (Ok(decision), _) if decision.allowed => Ok(Admission::Counted(decision)),
            (Ok(decision), _) => Ok(Admission::Declined(decision)),
            (Err(CallError::Away(absence)), WhenAway::TakeUpTo(bounds)) if bounds.take(charge.money) => {
                Ok(Admission::StoodIn(absence))
            }
            (Err(CallError::Away(absence)), _) => Ok(Admission::NotTaken(absence)),
            (Err(error), _) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use payops_core::currency::Currency;

    use super::*;

    #[test]
    fn a_stand_in_takes_no_more_than_its_bounds() {
        let usd = |amount| Money::new(amount, Currency::USD);
        let bounds = StandIn::new(usd(100), 250);
        assert!(!bounds.take(usd(101)) && !bounds.take(Money::new(1, Currency::EUR)));
        assert!(bounds.take(usd(100)) && bounds.take(usd(100)));
        assert!(!bounds.take(usd(51)), "201 and 51 are more than 250");
        assert!(bounds.take(usd(50)) && !bounds.take(usd(1)));
        bounds.settle(usd(100));
        assert_eq!(bounds.taken(), usd(150));
        assert!(bounds.take(usd(100)));
        bounds.resume(usd(i64::MAX));
        assert!(!bounds.take(usd(1)));
    }
}
