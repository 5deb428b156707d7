//! Stripe's `balance.summary.1`: what the balance was, what moved it, what it became. It carries the control
//! totals that an itemised report lacks.
//!
//! Columns: `category`, `net_amount`, `currency` and a `description` that is not needed. Amounts are major
//! units, signed as the balance moves, so that starting balance + activity + payouts = ending balance.

use std::io::Read;

use payops_core::currency::{Currency, Exponents};
use payops_core::money::parse_major;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::options::ReadOptions;
use crate::records::{Next, Record};
use crate::row::{Proof, Reject, RejectReason};
use crate::rows::{Binding, Currencies, cut_short, read_header, records};

const CATEGORY: usize = 0;
const NET_AMOUNT: usize = 1;
const CURRENCY: usize = 2;
const WANTED: [(&str, bool); 3] = [("category", true), ("net_amount", true), ("currency", true)];

/// The totals of one currency, in minor units. What the summary does not have is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyBalance {
    /// The currency.
    pub currency: Currency,
    /// The balance when the interval began.
    pub opening: Option<i64>,
    /// All movements but payouts, after fees.
    pub activity: Option<i64>,
    /// What was paid out, after fees; negative when money left.
    pub payouts: Option<i64>,
    /// The balance when the interval ended.
    pub ending: Option<i64>,
}

/// A balance summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceSummary {
    /// One entry per currency, ordered.
    pub currencies: Vec<CurrencyBalance>,
    /// What could not be read. With a reject the summary proves nothing about its currency's missing part.
    pub rejects: Vec<Reject>,
}

/// The lines that are summed up, gross and fee being the parts of a net that may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Opening,
    Activity,
    ActivityGross,
    ActivityFee,
    Payouts,
    PayoutsGross,
    PayoutsFee,
    Ending,
    /// A part of a balance, such as what is available of it.
    Part,
}

impl Line {
    const COUNT: usize = 9;

    fn parse(word: &[u8]) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let line = match word.as_slice() {
            b"starting_balance" => Self::Opening,
            b"activity" => Self::Activity,
            b"activity_gross" => Self::ActivityGross,
            b"activity_fee" => Self::ActivityFee,
            b"payouts" => Self::Payouts,
            b"payouts_gross" => Self::PayoutsGross,
            b"payouts_fee" => Self::PayoutsFee,
            b"ending_balance" => Self::Ending,
            part if part.starts_with(b"starting_balance_") || part.starts_with(b"ending_balance_") => {
                Self::Part
            }
            _ => return None,
        };
        Some(line)
    }
}

/// The amounts read so far, by currency.
#[derive(Debug, Default)]
struct Amounts(Vec<(Currency, [Option<i64>; Line::COUNT])>);

impl Amounts {
    fn set(&mut self, currency: Currency, line: Line, amount: i64) -> Result<(), Fault> {
        let index = self.0.iter().position(|(other, _)| *other == currency).unwrap_or_else(|| {
            self.0.push((currency, [None; Line::COUNT]));
            self.0.len() - 1
        });
        let place = &mut self.0[index].1[line as usize];
        if place.is_some_and(|before| before != amount) {
            let message = format!("{line:?} in {currency} stands twice, with different amounts");
            return Err(Fault::new(RejectReason::DuplicateRow, Some("category"), message));
        }
        *place = Some(amount);
        Ok(())
    }

    fn into_balances(mut self) -> Vec<CurrencyBalance> {
        self.0.sort_by_key(|(currency, _)| *currency);
        let balance = |(currency, amounts): (Currency, [Option<i64>; Line::COUNT])| {
            let get = |line: Line| amounts[line as usize];
            // Fees are signed too: they are what is added to gross.
            let sum = |gross: Line, fee: Line| get(gross)?.checked_add(get(fee)?);
            CurrencyBalance {
                currency,
                opening: get(Line::Opening),
                activity: get(Line::Activity).or_else(|| sum(Line::ActivityGross, Line::ActivityFee)),
                payouts: get(Line::Payouts).or_else(|| sum(Line::PayoutsGross, Line::PayoutsFee)),
                ending: get(Line::Ending),
            }
        };
        self.0.into_iter().map(balance).collect()
    }
}

/// Reads a balance summary, plain text. It never fails: what cannot be read is among the rejects.
pub fn read_balance_summary<R: Read>(source: R, options: &ReadOptions) -> BalanceSummary {
    let mut records = records(source, b',', options);
    let binding = match read_header(&mut records, &WANTED) {
        Ok(binding) => binding,
        Err(rejects) => return BalanceSummary { currencies: Vec::new(), rejects },
    };
    let mut amounts = Amounts::default();
    let mut currencies = Currencies::new(Exponents::Stripe);
    let mut rejects = Vec::new();
    loop {
        match records.next() {
            Next::Record(record) => {
                if let Err(fault) = read_line(&record, &binding, &mut currencies, &mut amounts) {
                    rejects.push(fault.at(record.position));
                }
            }
            Next::Broken(broken) => rejects.push(broken.into_reject()),
            Next::End => break,
        }
    }
    rejects.extend(records.take_error().map(|error| cut_short(&error)));
    BalanceSummary { currencies: amounts.into_balances(), rejects }
}

fn read_line(
    record: &Record<'_>,
    binding: &Binding,
    currencies: &mut Currencies,
    amounts: &mut Amounts,
) -> Result<(), Fault> {
    binding.check_width(record)?;
    let word = binding.get(record, CATEGORY);
    let Some(line) = Line::parse(word) else {
        let what = "is no line of a balance summary";
        return Err(Fault::value(RejectReason::UnknownKind, binding.name(CATEGORY), what, word));
    };
    if line == Line::Part {
        return Ok(());
    }
    let text = binding.get(record, CURRENCY);
    let Some((currency, exponent)) = currencies.read(text) else {
        let what = "is not a currency code of three letters";
        return Err(Fault::value(RejectReason::BadCurrency, binding.name(CURRENCY), what, text));
    };
    let text = binding.get(record, NET_AMOUNT);
    let amount =
        parse_major(text, exponent).map_err(|error| Fault::amount(binding.name(NET_AMOUNT), error, text))?;
    amounts.set(currency, line, amount)
}

/// What is compared in a tie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieName {
    /// Opening balance + activity + payouts = ending balance.
    Balance,
    /// The nets of the itemised rows = the summary's activity.
    Activity,
}

/// One comparison, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TieCheck {
    /// What is compared.
    pub name: TieName,
    /// The currency.
    pub currency: Currency,
    /// The verdict.
    pub proof: Proof,
    /// What the summary states: the ending balance, or the activity.
    pub stated: Option<i128>,
    /// What follows from the other figures.
    pub found: Option<i128>,
}

/// Ties a file's rows to the balance summary of the same interval, per currency. `activity` is the sum of the
/// nets of all itemised rows but payouts ([`crate::FileReport::activity`]). Without a summary nothing is
/// provable; a currency that moved in the rows and is missing in the summary is a failure.
pub fn tie(summary: Option<&BalanceSummary>, activity: &[(Currency, i128)]) -> Vec<TieCheck> {
    let balances = summary.map_or(&[][..], |summary| &summary.currencies);
    let mut currencies: Vec<Currency> = balances.iter().map(|balance| balance.currency).collect();
    currencies.extend(activity.iter().map(|(currency, _)| *currency));
    currencies.sort_unstable();
    currencies.dedup();
    let mut checks = Vec::new();
    for currency in currencies {
        let balance = balances.iter().find(|balance| balance.currency == currency);
        let rows = activity.iter().filter(|(other, _)| *other == currency).map(|(_, sum)| sum).sum();
        if summary.is_some() {
            let ending = balance.and_then(|balance| balance.ending).map(i128::from);
            checks.push(check(TieName::Balance, currency, ending, balance.and_then(expected_ending)));
        }
        let stated = match (summary, balance) {
            (Some(_), None) => Some(0),
            (_, balance) => balance.and_then(|balance| balance.activity).map(i128::from),
        };
        checks.push(check(TieName::Activity, currency, stated, Some(rows)));
    }
    checks
}

fn expected_ending(balance: &CurrencyBalance) -> Option<i128> {
    Some(i128::from(balance.opening?) + i128::from(balance.activity?) + i128::from(balance.payouts?))
}

fn check(name: TieName, currency: Currency, stated: Option<i128>, found: Option<i128>) -> TieCheck {
    let proof = match (stated, found) {
        (Some(stated), Some(found)) if stated == found => Proof::Proven,
        (Some(_), Some(_)) => Proof::Failed,
        _ => Proof::NotProvable,
    };
    TieCheck { name, currency, proof, stated, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "category,description,net_amount,currency\n\
        starting_balance,\"Starting balance (2026-09-01)\",100.00,usd\n\
        starting_balance_available,Available,0.00,usd\n\
        activity_gross,Account activity before fees,10000.00,usd\n\
        activity_fee,Less fees,-300.00,usd\n\
        activity,Activity,9700.00,usd\n\
        payouts_gross,Payouts to bank,-9800.00,usd\n\
        payouts_fee,Payout fees,0.00,usd\n\
        ending_balance,Ending balance,0.00,usd\n";

    fn read(text: &str) -> BalanceSummary {
        read_balance_summary(text.as_bytes(), &ReadOptions::default())
    }

    fn proofs(summary: Option<&BalanceSummary>, activity: i128) -> Vec<(TieName, Proof)> {
        tie(summary, &[(Currency::USD, activity)]).iter().map(|check| (check.name, check.proof)).collect()
    }

    #[test]
    fn the_summary_is_read_by_names_and_tied() {
        let summary = read(SUMMARY);
        assert_eq!(summary.rejects, []);
        assert_eq!(
            summary.currencies,
            [CurrencyBalance {
                currency: Currency::USD,
                opening: Some(10_000),
                activity: Some(970_000),
                payouts: Some(-980_000),
                ending: Some(0),
            }]
        );
        let both = |balance, activity| vec![(TieName::Balance, balance), (TieName::Activity, activity)];
        assert_eq!(proofs(Some(&summary), 970_000), both(Proof::Proven, Proof::Proven));
        assert_eq!(proofs(Some(&summary), 970_001), both(Proof::Proven, Proof::Failed));
        let broken = read(&SUMMARY.replace("ending_balance,Ending balance,0.00", "ending_balance,,0.01"));
        assert_eq!(proofs(Some(&broken), 970_000), both(Proof::Failed, Proof::Proven));
        let short = read(&SUMMARY.replace("ending_balance,Ending balance,0.00,usd\n", ""));
        assert_eq!(proofs(Some(&short), 970_000), both(Proof::NotProvable, Proof::Proven));
        assert_eq!(proofs(None, 970_000), [(TieName::Activity, Proof::NotProvable)]);
    }

    #[test]
    fn a_currency_on_one_side_only_is_seen() {
        let summary = read(SUMMARY);
        let checks = tie(Some(&summary), &[(Currency::EUR, 5), (Currency::USD, 970_000)]);
        let euros: Vec<Proof> =
            checks.iter().filter(|c| c.currency == Currency::EUR).map(|c| c.proof).collect();
        assert_eq!(euros, [Proof::NotProvable, Proof::Failed]);
        let checks = tie(Some(&summary), &[]);
        assert_eq!(
            (checks[1].proof, checks[1].stated, checks[1].found),
            (Proof::Failed, Some(970_000), Some(0))
        );
    }

    #[test]
    fn what_is_odd_is_rejected_with_its_line() {
        let text = "currency,net_amount,category\nusd,1.005,activity\nusd,1,reserves\nusdd,1,activity\n\
            usd,5,payouts\nusd,6,payouts\nusd,5,payouts\nusd\n";
        let rejects = read(text).rejects;
        let found: Vec<(u64, RejectReason)> = rejects.iter().map(|r| (r.line, r.reason)).collect();
        assert_eq!(
            found,
            [
                (2, RejectReason::SurplusDigits),
                (3, RejectReason::UnknownKind),
                (4, RejectReason::BadCurrency),
                (6, RejectReason::DuplicateRow),
                (8, RejectReason::ShortRow),
            ]
        );
        assert_eq!(read("category,currency\n").rejects[0].reason, RejectReason::MissingColumn);
    }
}
