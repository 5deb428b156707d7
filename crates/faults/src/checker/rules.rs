//! What must hold between the history and the rows of one merchant. Every payment here is in the limits' currency.

use std::collections::HashMap;

use sea_orm::FromQueryResult;
use serde_json::Value;

use super::{Findings, Merchant, Wrong};
use crate::history::{Asked, Entry, Told, payment_no, release_no};

/// All rows of one merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books {
    /// Its row of `merchant_limits`.
    pub counters: Counters,
    /// Its payments.
    pub payments: Vec<PaymentRow>,
    /// Their releases.
    pub releases: Vec<ReleaseRow>,
    /// Its usage log, by `seq`.
    pub log: Vec<LogRow>,
}

/// Of `merchant_limits`.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct Counters {
    pub seq: i64,
    pub daily_used: i64,
    pub monthly_used: i64,
    pub pending_amount: i64,
}

/// Of `limit_payments`.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct PaymentRow {
    pub payment_no: String,
    pub state: String,
    pub amount: i64,
    pub counted_amount: i64,
    pub booked_amount: i64,
    pub released_amount: i64,
    pub end_answer: Option<String>,
}

/// Of `limit_releases`.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct ReleaseRow {
    pub payment_no: String,
    pub release_no: String,
    pub amount: i64,
}

/// Of `limit_usage_logs`.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct LogRow {
    pub seq: i64,
    pub action_type: String,
    pub payment_no: Option<String>,
    pub release_no: Option<String>,
    pub counted_amount: i64,
    pub success: bool,
    pub daily_used_before: i64,
    pub daily_used_after: i64,
    pub monthly_used_before: i64,
    pub monthly_used_after: i64,
    pub pending_before: i64,
    pub pending_after: i64,
}

impl LogRow {
    fn before(&self) -> [i64; 3] {
        [self.daily_used_before, self.monthly_used_before, self.pending_before]
    }

    fn after(&self) -> [i64; 3] {
        [self.daily_used_after, self.monthly_used_after, self.pending_after]
    }

    fn payment(&self) -> &str {
        self.payment_no.as_deref().unwrap_or_default()
    }
}

/// The effects of one payment, as the log tells them.
#[derive(Debug, Clone, Copy, Default)]
struct Effects {
    counted: u64,
    counted_amount: i64,
    held: u64,
    declined: u64,
}

/// Adds what is wrong with one merchant.
pub fn check(merchant: &Merchant, books: &Books, told: &[Entry], findings: &mut Findings) {
    let payments: HashMap<&str, &PaymentRow> =
        books.payments.iter().map(|payment| (payment.payment_no.as_str(), payment)).collect();
    chain(books, findings);
    limits(merchant, books, &payments, findings);
    let effects = effects(books, findings);
    effects_and_payments(&payments, &effects, findings);
    acknowledged(&payments, &effects, books, told, findings);
}

/// Rows are numbered without gaps, each begins where the one before it ended, and the last equals the counters.
fn chain(books: &Books, findings: &mut Findings) {
    let mut expected = [0; 3];
    let mut sums = [0; 3];
    for (row, number) in books.log.iter().zip(1_i64..) {
        if row.seq != number {
            findings.add(Wrong::Drift, || format!("log row {number} has the number {}", row.seq));
        }
        if row.before() != expected {
            findings.add(Wrong::Drift, || {
                format!("log row {number} begins at {:?}, not {expected:?}", row.before())
            });
        }
        if !row.success && row.before() != row.after() {
            findings.add(Wrong::Drift, || format!("log row {number} refuses and counts: {row:?}"));
        }
        expected = row.after();
        for ((sum, after), before) in sums.iter_mut().zip(row.after()).zip(row.before()) {
            *sum += after - before;
        }
    }
    let counters = &books.counters;
    let now = [counters.daily_used, counters.monthly_used, counters.pending_amount];
    if sums != now {
        findings.add(Wrong::Drift, || format!("the log sums to {sums:?}, the counters are {now:?}"));
    }
    if i64::try_from(books.log.len()).ok() != Some(counters.seq) {
        findings.add(Wrong::Drift, || format!("{} log rows, counted to {}", books.log.len(), counters.seq));
    }
    let open = books.payments.iter().filter(|payment| payment.state == "reserved");
    let held: i64 = open.map(|payment| payment.counted_amount).sum();
    if held != counters.pending_amount {
        findings.add(Wrong::Drift, || {
            format!("reservations hold {held}, pending is {}", counters.pending_amount)
        });
    }
}

/// What was passed was within the limits then. A confirm moves what was held; only a late one may add to it.
fn limits(
    merchant: &Merchant,
    books: &Books,
    payments: &HashMap<&str, &PaymentRow>,
    findings: &mut Findings,
) {
    for row in books.log.iter().filter(|row| row.success) {
        let [daily, monthly, pending] = row.after();
        let [daily_before, monthly_before, pending_before] = row.before();
        let beyond = match row.action_type.as_str() {
            "consume" | "reserve" => {
                daily + pending > merchant.daily_limit || monthly + pending > merchant.monthly_limit
            }
            "confirm" => {
                let more = daily + pending > daily_before + pending_before
                    || monthly + pending > monthly_before + pending_before;
                more && !payments.get(row.payment()).is_some_and(|payment| is_late(payment))
            }
            _ => false,
        };
        if beyond {
            findings.add(Wrong::Over, || format!("{merchant:?}: {row:?}"));
        }
    }
}

fn is_late(payment: &PaymentRow) -> bool {
    let answer = payment.end_answer.as_deref().and_then(|answer| serde_json::from_str::<Value>(answer).ok());
    answer.is_some_and(|answer| answer["late"] == true)
}

fn effects<'b>(books: &'b Books, findings: &mut Findings) -> HashMap<&'b str, Effects> {
    let mut effects: HashMap<&str, Effects> = HashMap::new();
    let mut released: HashMap<(&str, &str), u64> = HashMap::new();
    for row in &books.log {
        let of = effects.entry(row.payment()).or_default();
        match (row.action_type.as_str(), row.success) {
            ("consume" | "confirm", true) => {
                of.counted += 1;
                of.counted_amount += row.counted_amount;
            }
            ("reserve", true) => of.held += 1,
            ("consume" | "reserve", false) => of.declined += 1,
            ("release", true) => {
                *released
                    .entry((row.payment(), row.release_no.as_deref().unwrap_or_default()))
                    .or_default() += 1;
            }
            _ => {}
        }
    }
    for (payment, of) in &effects {
        if of.counted > 1 || of.held > 1 {
            findings.add(Wrong::Double, || format!("{payment}: {of:?}"));
        }
    }
    for ((payment, release), times) in released.iter().filter(|(_, times)| **times > 1) {
        findings.add(Wrong::Double, || format!("release {release} of {payment} happened {times} times"));
    }
    effects
}

/// Every payment is wholly there, or wholly absent.
fn effects_and_payments(
    payments: &HashMap<&str, &PaymentRow>,
    effects: &HashMap<&str, Effects>,
    findings: &mut Findings,
) {
    for (number, payment) in payments {
        let of = effects.get(number).copied().unwrap_or_default();
        let booked = u64::from(payment.booked_amount > 0);
        if of.counted.min(1) != booked || (of.counted <= 1 && of.counted_amount != payment.booked_amount) {
            findings.add(Wrong::Drift, || format!("{payment:?}, the log tells {of:?}"));
        }
    }
    let nowhere = effects
        .iter()
        .filter(|(number, of)| !payments.contains_key(*number) && of.counted + of.held + of.declined > 0);
    for (number, of) in nowhere {
        findings.add(Wrong::Drift, || format!("{number} is in the log and no payment: {of:?}"));
    }
}

/// Every answer that somebody got is found.
fn acknowledged(
    payments: &HashMap<&str, &PaymentRow>,
    effects: &HashMap<&str, Effects>,
    books: &Books,
    told: &[Entry],
    findings: &mut Findings,
) {
    let releases: HashMap<(&str, &str), i64> = books
        .releases
        .iter()
        .map(|release| ((release.payment_no.as_str(), release.release_no.as_str()), release.amount))
        .collect();
    for entry in told.iter().filter(|entry| entry.told != Told::Nothing) {
        let number = payment_no(entry.payment);
        let row = payments.get(number.as_str()).copied();
        let of = effects.get(number.as_str()).copied().unwrap_or_default();
        let found = row.is_some_and(|row| match (entry.asked, entry.told) {
            (Asked::Consume | Asked::Reserve, Told::Declined) => row.state == "declined" && of.declined == 1,
            (Asked::Consume, _) => row.state == "consumed" && row.booked_amount == entry.amount,
            (Asked::Reserve, _) => row.state != "declined" && row.amount == entry.amount && of.held >= 1,
            (Asked::Confirm, _) => row.state == "confirmed" && row.booked_amount == entry.amount,
            (Asked::Void, _) => matches!(row.state.as_str(), "voided" | "expired") && row.booked_amount == 0,
            (Asked::Release(release), _) => {
                releases.get(&(number.as_str(), release_no(release).as_str())) == Some(&entry.amount)
            }
        });
        if !found {
            findings.add(Wrong::Lost, || format!("{entry:?} was answered; the database has {row:?}"));
        }
    }
    let mut sums: HashMap<&str, i64> = HashMap::new();
    for release in &books.releases {
        *sums.entry(release.payment_no.as_str()).or_default() += release.amount;
    }
    for (number, payment) in payments {
        let sum = sums.get(number).copied().unwrap_or_default();
        if sum != payment.released_amount {
            findings.add(Wrong::Drift, || format!("{payment:?}, its releases sum to {sum}"));
        }
    }
}

#[cfg(test)]
mod tests;
