//! What merchant limits promise, said a second time and in another way: no counters, only payments, from which every
//! figure is summed anew. It goes through the commits in their order, one operation after another.

use std::collections::BTreeMap;

use payops_core::currency::{Currency, Exponents};
use payops_core::time::{Timestamp, Zone};
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::{Committed, Rates};
use crate::decide::{Action, Charge, Operation, Outcome, Refusal, ReleaseRequest};
use crate::model::{LimitKind, PaymentState, Rule, Terms, Usage};
use crate::rate::AppliedRate;

type Instants = (Timestamp, Timestamp);

/// All merchants.
#[derive(Debug, Default)]
pub(super) struct Sums {
    merchants: BTreeMap<Uuid, Merchant>,
    pub(super) late_confirms: u64,
    pub(super) declines: u64,
    pub(super) expired: u64,
    pub(super) days: u64,
    pub(super) months: u64,
}

#[derive(Debug)]
struct Merchant {
    terms: Terms,
    day: Instants,
    month: Instants,
    payments: BTreeMap<String, Fact>,
}

#[derive(Debug)]
struct Fact {
    charge: Charge,
    ttl: Option<i64>,
    state: PaymentState,
    counted: i128,
    rate: Option<AppliedRate>,
    expires: Option<Timestamp>,
    /// The amount and what it counts, once it is booked, and the day and month that hold it.
    booked: Option<(i64, i128, Timestamp, Timestamp)>,
    released: i64,
    declined: Option<Rule>,
    answer: String,
    end: String,
    releases: BTreeMap<String, (Option<i64>, i64, String)>,
}

/// What an operation must be answered.
#[derive(Debug)]
enum Due {
    /// These fields, for the first time.
    First(Value),
    /// This very text again.
    Again(String),
    /// These fields, as a replay that is not stored.
    Shown(Value),
    No(Refusal),
    Swept,
}

impl Sums {
    pub(super) fn add(&mut self, merchant_id: Uuid, terms: Terms, usage: &Usage) {
        let (day, month) = ((usage.day.start, usage.day.end), (usage.month.start, usage.month.end));
        self.merchants.insert(merchant_id, Merchant { terms, day, month, payments: BTreeMap::new() });
    }

    /// Takes one commit in; what is wrong with it.
    pub(super) fn take(&mut self, commit: &Committed) -> Result<(), String> {
        match commit {
            Committed::Edit { merchant_id, now, terms } => {
                self.present(*merchant_id, *now);
                if let Some(merchant) = self.merchants.get_mut(merchant_id) {
                    merchant.terms = terms.clone();
                }
                Ok(())
            }
            Committed::Batch { now, operations, outcomes, rates, usages } => {
                if operations.len() != outcomes.len() {
                    return Err(format!("{} operations, {} outcomes", operations.len(), outcomes.len()));
                }
                let mut merchants: Vec<Uuid> = operations.iter().map(|o| o.merchant_id).collect();
                merchants.sort_unstable();
                merchants.dedup();
                for merchant in merchants {
                    self.present(merchant, *now);
                }
                for (operation, outcome) in operations.iter().zip(outcomes) {
                    self.one(operation, outcome, *now, rates)
                        .map_err(|why| format!("{operation:?} at {now} became {outcome:?}: {why}"))?;
                }
                usages.iter().try_for_each(|(merchant, usage)| self.compare(*merchant, usage))
            }
        }
    }

    fn present(&mut self, merchant_id: Uuid, now: Timestamp) {
        let Some(merchant) = self.merchants.get_mut(&merchant_id) else { return };
        let (day, month) = (merchant.day, merchant.month);
        merchant.roll(now);
        self.days += u64::from(merchant.day != day);
        self.months += u64::from(merchant.month != month);
        for fact in merchant.payments.values_mut() {
            if fact.state == PaymentState::Reserved && fact.expires.is_some_and(|end| end <= now) {
                fact.state = PaymentState::Expired;
                self.expired += 1;
            }
        }
    }

    fn compare(&self, merchant_id: Uuid, usage: &Usage) -> Result<(), String> {
        let Some(merchant) = self.merchants.get(&merchant_id) else { return Ok(()) };
        let counted = (usage.daily_used.into(), usage.monthly_used.into(), usage.pending.into());
        let summed = merchant.used();
        let windows = ((usage.day.start, usage.day.end), (usage.month.start, usage.month.end));
        if counted != summed || windows != (merchant.day, merchant.month) {
            return Err(format!("{merchant_id}: counters {usage:?}, sums {summed:?} in {:?}", merchant.day));
        }
        Ok(())
    }

    fn one(
        &mut self,
        operation: &Operation,
        outcome: &Outcome,
        now: Timestamp,
        rates: &Rates,
    ) -> Result<(), String> {
        let due = match self.merchants.get_mut(&operation.merchant_id) {
            None => Due::No(Refusal::UnknownMerchant),
            Some(merchant) => merchant.due(operation, now.max(merchant.day.0), rates),
        };
        let text = match (&due, outcome) {
            (Due::No(refusal), Outcome::Refused(given)) if refusal == given => return Ok(()),
            (Due::Swept, Outcome::Swept) => return Ok(()),
            (Due::Again(first), Outcome::Approved(given)) if given.replayed && **first == *given.answer => {
                return Ok(());
            }
            (Due::Again(first), Outcome::Declined { answer, replayed: true, .. }) if **first == **answer => {
                return Ok(());
            }
            (Due::First(fields), Outcome::Approved(given)) if !given.replayed => {
                agree(fields, &given.answer)?
            }
            (Due::Shown(fields), Outcome::Approved(given)) if given.replayed => {
                agree(fields, &given.answer)?;
                return Ok(());
            }
            (Due::First(fields), Outcome::Declined { answer, replayed: false, .. }) => {
                self.declines += 1;
                agree(fields, answer)?
            }
            _ => return Err(format!("due was {due:?}")),
        };
        if text.contains(r#""late":true"#) {
            self.late_confirms += 1;
        }
        if let Some(fact) = self
            .merchants
            .get_mut(&operation.merchant_id)
            .and_then(|m| m.payments.get_mut(&operation.payment_no))
        {
            fact.keep(operation, text);
        }
        Ok(())
    }
}

/// The fields that are due are in the answer as they should be.
fn agree(fields: &Value, answer: &str) -> Result<String, String> {
    let given: Value = serde_json::from_str(answer).map_err(|error| error.to_string())?;
    for (name, value) in fields.as_object().into_iter().flatten() {
        if given[name] != *value {
            return Err(format!("{name} should be {value}"));
        }
    }
    Ok(answer.to_owned())
}

impl Fact {
    /// Keeps the first answer, which every later one repeats.
    fn keep(&mut self, operation: &Operation, text: String) {
        match &operation.action {
            Action::Consume(_) | Action::Reserve(..) => self.answer = text,
            Action::Confirm(_) | Action::Void => self.end = text,
            Action::Release(request) => {
                if let Some(release) = self.releases.get_mut(&request.release_no) {
                    release.2 = text;
                }
            }
            Action::Sweep => {}
        }
    }

    fn returned(&self) -> i128 {
        let Some((booked, counted, ..)) = self.booked else { return 0 };
        counted * i128::from(self.released) / i128::from(booked)
    }

    fn left(&self) -> i64 {
        self.booked.map_or(0, |(booked, ..)| booked) - self.released
    }

    fn differing(&self, charge: &Charge, ttl: Option<i64>) -> Vec<&'static str> {
        let other_kind = self.ttl.is_some() != ttl.is_some();
        let pairs = [
            ("operation", other_kind),
            ("amount", self.charge.amount != charge.amount),
            ("currency", self.charge.currency != charge.currency),
            ("order_no", self.charge.order_no != charge.order_no),
            ("channel", self.charge.channel != charge.channel),
            ("ttl_seconds", self.ttl != ttl && !other_kind),
        ];
        pairs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

impl Merchant {
    /// Used of the day, of the month, and held, each a sum of payments.
    fn used(&self) -> (i128, i128, i128) {
        let (mut day, mut month, mut held) = (0, 0, 0);
        for fact in self.payments.values() {
            if let Some((_, counted, in_day, in_month)) = fact.booked {
                let stays = counted - fact.returned();
                day += if in_day == self.day.0 { stays } else { 0 };
                month += if in_month == self.month.0 { stays } else { 0 };
            }
            held += if fact.state == PaymentState::Reserved { fact.counted } else { 0 };
        }
        (day, month, held)
    }

    fn roll(&mut self, now: Timestamp) {
        self.day = next(&self.terms.zone, self.day, now.max(self.day.0), day);
        self.month = next(&self.terms.zone, self.month, now, month);
    }

    fn limit(&self, kind: LimitKind, now: Timestamp) -> Option<i128> {
        let held = self.terms.overrides.iter().find(|o| o.kind == kind && (o.from..o.to).contains(&now));
        let of = |limits: &crate::model::Limits| match kind {
            LimitKind::Daily => limits.daily,
            LimitKind::Monthly => limits.monthly,
            LimitKind::SingleTrans => limits.single_trans,
        };
        let own = of(&self.terms.custom).or(of(&self.terms.tier));
        held.map(|o| o.value).or(own).map(i128::from)
    }

    /// What is left of the day and of the month, as answers show it.
    fn left(&self, now: Timestamp) -> (Value, Value) {
        let (day, month, held) = self.used();
        let left = |kind, used: i128| {
            let limit = self.limit(kind, now)?;
            i64::try_from((limit - used - held).max(0)).ok()
        };
        (json!(left(LimitKind::Daily, day)), json!(left(LimitKind::Monthly, month)))
    }

    fn due(&mut self, operation: &Operation, now: Timestamp, rates: &Rates) -> Due {
        let number = operation.payment_no.as_str();
        match &operation.action {
            Action::Consume(charge) => self.charge(number, charge, None, now, rates),
            Action::Reserve(charge, ttl) => self.charge(number, charge, Some(*ttl), now, rates),
            Action::Confirm(amount) => self.confirm(number, *amount, now, rates),
            Action::Void => self.void(number, now),
            Action::Release(request) => self.release(number, request, now),
            Action::Sweep => Due::Swept,
        }
    }

    fn charge(
        &mut self,
        number: &str,
        charge: &Charge,
        ttl: Option<i64>,
        now: Timestamp,
        rates: &Rates,
    ) -> Due {
        if let Some(fact) = self.payments.get(number) {
            let differing = fact.differing(charge, ttl);
            let again = || Due::Again(fact.answer.clone());
            return if differing.is_empty() { again() } else { Due::No(Refusal::Mismatch(differing)) };
        }
        let own = self.terms.currency;
        let rate = match rates.get(&(charge.currency, own)) {
            _ if charge.currency == own => None,
            None => return Due::No(Refusal::RateMissing(charge.currency, own)),
            found => found.cloned(),
        };
        let counted = convert(charge.amount, charge.currency, own, rate.as_ref());
        let failures = self.failures(counted, now);
        let (day, month, held) = self.used();
        let most = i128::from(i64::MAX);
        let room = day.max(month) + held + counted;
        if counted > most || (failures.is_empty() && room > most) {
            return Due::No(Refusal::OutOfRange);
        }
        let allowed = failures.is_empty();
        let state = match (allowed, ttl) {
            (false, _) => PaymentState::Declined,
            (true, None) => PaymentState::Consumed,
            (true, Some(_)) => PaymentState::Reserved,
        };
        let expires = ttl.filter(|_| allowed).map(|ttl| now + chrono::Duration::seconds(ttl));
        let booked = (charge.amount, counted, self.day.0, self.month.0);
        let fact = Fact {
            charge: charge.clone(),
            ttl,
            state,
            counted,
            rate,
            expires,
            booked: (state == PaymentState::Consumed).then_some(booked),
            released: 0,
            declined: failures.first().copied(),
            answer: String::new(),
            end: String::new(),
            releases: BTreeMap::new(),
        };
        let first = fact.declined.map(Rule::reason);
        self.payments.insert(number.to_owned(), fact);
        let (daily, monthly) = self.left(now);
        Due::First(json!({
            "payment_no": number, "allowed": allowed, "reason": first, "amount": charge.amount,
            "counted_amount": i64::try_from(counted).unwrap_or(0), "daily_remaining": daily,
            "monthly_remaining": monthly, "expires_at": expires, "as_of": now,
        }))
    }

    fn failures(&self, counted: i128, now: Timestamp) -> Vec<Rule> {
        let (day, month, held) = self.used();
        let beyond = |kind, would_be: i128| self.limit(kind, now).is_some_and(|limit| would_be > limit);
        let rules = [
            (Rule::Suspended, self.terms.suspended.is_some()),
            (Rule::SingleTrans, beyond(LimitKind::SingleTrans, counted)),
            (Rule::Daily, beyond(LimitKind::Daily, day + held + counted)),
            (Rule::Monthly, beyond(LimitKind::Monthly, month + held + counted)),
        ];
        rules.into_iter().filter(|(_, fails)| *fails).map(|(rule, _)| rule).collect()
    }

    fn confirm(&mut self, number: &str, amount: Option<i64>, now: Timestamp, rates: &Rates) -> Due {
        let (day, month, own) = (self.day.0, self.month.0, self.terms.currency);
        let (used_of_day, used_of_month, _) = self.used();
        let Some(fact) = self.payments.get_mut(number) else { return Due::No(Refusal::UnknownPayment) };
        let amount = amount.unwrap_or(fact.charge.amount);
        let late = match fact.state {
            PaymentState::Confirmed if fact.booked.is_some_and(|(booked, ..)| booked == amount) => {
                return Due::Again(fact.end.clone());
            }
            PaymentState::Confirmed => return Due::No(Refusal::Mismatch(vec!["amount"])),
            PaymentState::Reserved => false,
            PaymentState::Expired => true,
            state => return Due::No(Refusal::WrongState(state)),
        };
        if amount > fact.charge.amount {
            return Due::No(Refusal::ConfirmExceeds(fact.charge.amount));
        }
        let rate = if late { rates.get(&(fact.charge.currency, own)) } else { fact.rate.as_ref() };
        if fact.charge.currency != own && rate.is_none() {
            return Due::No(Refusal::RateMissing(fact.charge.currency, own));
        }
        let counted = convert(amount, fact.charge.currency, own, rate);
        if used_of_day.max(used_of_month) + counted > i128::from(i64::MAX) {
            return Due::No(Refusal::OutOfRange);
        }
        let freed = if late { 0 } else { fact.counted - counted };
        fact.state = PaymentState::Confirmed;
        fact.booked = Some((amount, counted, day, month));
        let (daily, monthly) = self.left(now);
        let (in_day, in_month, held) = self.used();
        let beyond = |kind, used: i128| self.limit(kind, now).is_some_and(|limit| used + held > limit);
        let over = beyond(LimitKind::Daily, in_day) || beyond(LimitKind::Monthly, in_month);
        Due::First(json!({
            "payment_no": number, "status": "confirmed", "amount": amount,
            "counted_amount": i64::try_from(counted).unwrap_or(0),
            "freed_amount": i64::try_from(freed).unwrap_or(0), "late": late, "over_limit": over,
            "daily_remaining": daily, "monthly_remaining": monthly, "as_of": now,
        }))
    }

    fn void(&mut self, number: &str, now: Timestamp) -> Due {
        let Some(fact) = self.payments.get_mut(number) else { return Due::No(Refusal::UnknownPayment) };
        let freed = match fact.state {
            PaymentState::Reserved => fact.counted,
            PaymentState::Voided => return Due::Again(fact.end.clone()),
            PaymentState::Expired => 0,
            state => return Due::No(Refusal::WrongState(state)),
        };
        let expired = fact.state == PaymentState::Expired;
        if !expired {
            fact.state = PaymentState::Voided;
        }
        let state = fact.state;
        let (daily, monthly) = self.left(now);
        let fields = json!({
            "payment_no": number, "status": state, "amount": 0,
            "freed_amount": i64::try_from(freed).unwrap_or(0), "late": false, "daily_remaining": daily,
            "monthly_remaining": monthly, "as_of": now,
        });
        if expired { Due::Shown(fields) } else { Due::First(fields) }
    }

    fn release(&mut self, number: &str, request: &ReleaseRequest, now: Timestamp) -> Due {
        let (day, month) = (self.day.0, self.month.0);
        let Some(fact) = self.payments.get_mut(number) else { return Due::No(Refusal::UnknownPayment) };
        if let Some((asked, amount, answer)) = fact.releases.get(&request.release_no) {
            let same = *asked == request.amount || request.amount == Some(*amount);
            let differs = || Due::No(Refusal::Mismatch(vec!["amount"]));
            return if same { Due::Again(answer.clone()) } else { differs() };
        }
        let Some((_, _, in_day, in_month)) = fact.booked else {
            return Due::No(Refusal::WrongState(fact.state));
        };
        let left = fact.left();
        let amount = request.amount.unwrap_or(left);
        if left == 0 || amount > left {
            return Due::No(Refusal::ReleaseExceeds(left));
        }
        let before = fact.returned();
        fact.released += amount;
        fact.releases.insert(request.release_no.clone(), (request.amount, amount, String::new()));
        let returned = i64::try_from(fact.returned() - before).unwrap_or(0);
        let releasable = fact.left();
        let window = |name, open: bool| json!({ "window": name, "returned": if open { returned } else { 0 }, "closed": !open });
        let windows = [window("daily", in_day == day), window("monthly", in_month == month)];
        let (daily, monthly) = self.left(now);
        Due::First(json!({
            "payment_no": number, "release_no": request.release_no, "amount": amount,
            "counted_amount": returned, "releasable_amount": releasable, "windows": windows,
            "daily_remaining": daily, "monthly_remaining": monthly, "as_of": now,
        }))
    }
}

/// What an amount counts: the next whole number up, in a decimal rate's own digits.
fn convert(amount: i64, from: Currency, to: Currency, rate: Option<&AppliedRate>) -> i128 {
    let Some(applied) = rate else { return amount.into() };
    let text = applied.rate.to_string();
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let digits: i128 = format!("{whole}{decimals}").parse().unwrap();
    let ten = |power: usize| 10_i128.pow(u32::try_from(power).unwrap());
    let exponent = |currency| usize::from(Exponents::Iso4217.of(currency));
    let (above, below) = (digits * ten(exponent(to)), ten(decimals.len() + exponent(from)));
    (i128::from(amount) * above + below - 1) / below
}

fn day(zone: &Zone, now: Timestamp) -> Instants {
    let day = zone.day(zone.date_of(now)).unwrap();
    (day.start, day.end)
}

fn month(zone: &Zone, now: Timestamp) -> Instants {
    let in_month = zone.date_of(now).format("%Y-%m-").to_string();
    let days = (1..=31).filter_map(|day| format!("{in_month}{day:02}").parse().ok());
    let days: Vec<_> = days.map(|date| zone.day(date).unwrap()).collect();
    (days[0].start, days[days.len() - 1].end)
}

/// The window at `now` after `last`, which is never cut short and never opened again.
fn next(zone: &Zone, last: Instants, now: Timestamp, window: fn(&Zone, Timestamp) -> Instants) -> Instants {
    if now < last.1 {
        return last;
    }
    let calendar = window(zone, now);
    if calendar.0 >= last.1 { calendar } else { (last.1, window(zone, calendar.1).1) }
}
