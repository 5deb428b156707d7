//! Money that the bank took back.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use payops_channels::bank::{BankEntry, ReferenceKind};
use payops_core::currency::Currency;
use sha2::{Digest, Sha256};

use super::Deposit;

/// For so many days behind a deposit, a reversal that has no reference of it may be its own.
const DAYS_WITHOUT_REFERENCE: i64 = 90;

/// What is known of an entry besides what is compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// The bank says that it undoes another.
    pub is_reversal: bool,
    /// The bank's own references.
    pub references: Vec<String>,
    /// The amount as the bank has it, in minor units of ISO 4217.
    pub amount: i64,
    /// The bank account: what is taken back leaves the account that it came to.
    pub account: Arc<str>,
    /// Whether it stands in a statement that is read only for what it takes back.
    pub is_elsewhere: bool,
}

impl Mark {
    pub(super) fn of(entry: &BankEntry, account: Arc<str>, is_elsewhere: bool) -> Self {
        let own = entry.references.iter().filter(|reference| reference.kind == ReferenceKind::Bank);
        Self {
            is_reversal: entry.reversal,
            references: own.map(|reference| reference.text.clone()).collect(),
            amount: entry.amount,
            account,
            is_elsewhere,
        }
    }

    fn shares_reference(&self, other: &Self) -> bool {
        self.references.iter().any(|reference| other.references.contains(reference))
    }
}

/// By what an entry of another statement is known that takes this one back, or that it takes back: one for each of the bank's
/// references, and one without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trace {
    /// A hash of the bank's reference; 0 without one.
    pub reference: i64,
    /// Minor units of ISO 4217, negative where money left the account.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// The day of booking, else of value.
    pub booked_on: NaiveDate,
    /// Whether the bank says that it undoes another.
    pub is_reversal: bool,
}

/// What ties a reversal to a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenBackBy {
    /// The bank's reference of the deposit.
    Reference,
    /// The opposite amount alone, which another deposit may have too.
    Amount,
}

impl Trace {
    /// The traces of an entry.
    pub fn of(deposit: &Deposit) -> Vec<Self> {
        let Mark { is_reversal, references, amount, .. } = &deposit.mark;
        let of = |reference| Self {
            reference,
            amount: *amount,
            currency: deposit.currency,
            booked_on: deposit.date,
            is_reversal: *is_reversal,
        };
        if references.is_empty() {
            return vec![of(0)];
        }
        references.iter().map(|reference| of(hash(reference))).collect()
    }

    /// Whether this may take a deposit back, and what ties it to that. What [`take_back`] makes of the entries is for it to say.
    pub fn takes_back(&self, deposit: &Self) -> Option<TakenBackBy> {
        let is_other_way = self.amount.signum() * deposit.amount.signum() < 0;
        if deposit.is_reversal
            || !is_other_way
            || self.currency != deposit.currency
            || self.booked_on < deposit.booked_on
        {
            return None;
        }
        let is_opposite = self.amount.checked_neg() == Some(deposit.amount);
        let is_near = || self.booked_on.signed_duration_since(deposit.booked_on) <= days_without_reference();
        match () {
            () if self.reference == deposit.reference
                && self.reference != 0
                && (is_opposite || self.is_reversal) =>
            {
                Some(TakenBackBy::Reference)
            }
            () if self.is_reversal && is_opposite && is_near() => Some(TakenBackBy::Amount),
            () => None,
        }
    }

    /// The first day whose deposits a reversal of this day without a reference may be about.
    pub fn nameless_since(day: NaiveDate) -> NaiveDate {
        day.checked_sub_signed(days_without_reference()).unwrap_or(day)
    }

    /// The last day on which a reversal without a reference may be about a deposit of this day.
    pub fn nameless_until(day: NaiveDate) -> NaiveDate {
        day.checked_add_signed(days_without_reference()).unwrap_or(day)
    }
}

fn days_without_reference() -> TimeDelta {
    TimeDelta::days(DAYS_WITHOUT_REFERENCE)
}

/// What keeps two references apart; two of one hash are read for nothing.
fn hash(reference: &str) -> i64 {
    let digest = Sha256::digest(reference.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first) | 1
}

/// A reference that more entries have tells nothing.
const MOST_WITH_REFERENCE: usize = 1000;
/// Of so many deposits at most a reversal gets the texts.
const MOST_NAMED: usize = 100;

/// Takes what was taken back off the deposits, so that it ties to no payout: of an entry that has the bank's reference of a deposit
/// and is marked as a reversal, or of exactly the opposite amount; and of a reversal without such a reference where one
/// deposit alone has the opposite amount. What is left of a deposit stays. Where several have the amount, nobody
/// knows which: the reversal gets their texts, so that it is no other money's. A reversal may be of a later day; within a day
/// entries have no order.
///
/// What stands in a statement that is read only for what it takes back leaves nothing else: no deposit, and no reversal but one
/// that may be of several.
///
/// With the deposits it returns what else may take back a deposit of another statement: what has found none by a reference. A
/// reversal that found one by its amount is among it, since another statement may have the one with its reference; what it has
/// taken back may be there again then.
pub(super) fn take_back(deposits: Vec<Deposit>) -> TakenBack {
    let marks: Vec<Mark> = deposits.iter().map(|deposit| deposit.mark.clone()).collect();
    let mut by_reference: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut by_amount: HashMap<i64, Vec<usize>> = HashMap::new();
    for (place, (deposit, mark)) in deposits.iter().zip(&marks).enumerate() {
        by_amount.entry(deposit.amount).or_default().push(place);
        for reference in &mark.references {
            by_reference.entry(reference).or_default().push(place);
        }
    }
    let none = vec![false; deposits.len()];
    let mut ledger = Ledger { gone: none.clone(), named: none, deposits, marks: &marks };
    for (place, mark) in marks.iter().enumerate() {
        let referred = mark.references.iter().filter_map(|own| by_reference.get(own.as_str()));
        let mut known = referred.filter(|places| places.len() <= MOST_WITH_REFERENCE).flatten().copied();
        if let Some(undone) = known.find(|other| ledger.is_undone_by_reference(*other, place)) {
            ledger.take_off(undone, place);
        }
    }
    let may_take_back = |deposit: &Deposit| {
        deposit.mark.is_reversal || (deposit.amount < 0 && !deposit.mark.references.is_empty())
    };
    let open =
        ledger.deposits.iter().zip(&ledger.gone).filter(|(deposit, gone)| !**gone && may_take_back(deposit));
    let reversals = open.flat_map(|(deposit, _)| Trace::of(deposit)).collect();
    let mut undone_by_amount = Vec::new();
    for place in (0..marks.len()).filter(|place| marks[*place].is_reversal) {
        let opposite = ledger.deposits[place].amount.checked_neg();
        let alike = opposite.and_then(|amount| by_amount.get(&amount)).into_iter().flatten().copied();
        let undone: Vec<usize> =
            alike.filter(|other| ledger.is_opposite(*other, place)).take(MOST_NAMED).collect();
        match undone[..] {
            [] => {}
            [undone] => {
                if !marks[undone].is_elsewhere {
                    undone_by_amount.extend(Trace::of(&ledger.deposits[undone]));
                }
                ledger.take_off(undone, place);
            }
            _ => ledger.name(&undone, place),
        }
    }
    let Ledger { deposits, gone, named, .. } = ledger;
    let stays = |(deposit, (gone, named)): (Deposit, (bool, bool))| {
        (!gone && (named || !deposit.mark.is_elsewhere)).then_some(deposit)
    };
    let deposits = deposits.into_iter().zip(gone.into_iter().zip(named)).filter_map(stays).collect();
    TakenBack { deposits, reversals, undone_by_amount }
}

/// What is left of deposits when what was taken back is off.
pub(super) struct TakenBack {
    /// The deposits.
    pub deposits: Vec<Deposit>,
    /// What may take back a deposit of another statement.
    pub reversals: Vec<Trace>,
    /// The deposits that a reversal took back by its amount alone.
    pub undone_by_amount: Vec<Trace>,
}

/// The deposits, less what was taken back of them.
struct Ledger<'a> {
    deposits: Vec<Deposit>,
    marks: &'a [Mark],
    gone: Vec<bool>,
    /// The reversals that have the texts of several deposits.
    named: Vec<bool>,
}

impl Ledger<'_> {
    /// Whether an entry may undo another by its direction, currency and day.
    fn may_be_undone(&self, undone: usize, by: usize) -> bool {
        let (deposit, entry) = (&self.deposits[undone], &self.deposits[by]);
        undone != by
            && !self.gone[undone]
            && !self.gone[by]
            && !self.marks[undone].is_reversal
            && entry.currency == deposit.currency
            && self.marks[undone].account == self.marks[by].account
            && entry.amount.signum() * deposit.amount.signum() < 0
            && deposit.date <= entry.date
    }

    fn is_opposite(&self, undone: usize, by: usize) -> bool {
        self.may_be_undone(undone, by)
            && self.deposits[by].amount.checked_neg() == Some(self.deposits[undone].amount)
    }

    fn is_undone_by_reference(&self, undone: usize, by: usize) -> bool {
        // A fee has the reference of its payment too, and undoes nothing.
        self.marks[by].shares_reference(&self.marks[undone])
            && (self.is_opposite(undone, by)
                || (self.marks[by].is_reversal && self.may_be_undone(undone, by)))
    }

    fn take_off(&mut self, undone: usize, by: usize) {
        let texts = std::mem::take(&mut self.deposits[by].texts);
        let taken = self.deposits[by].amount;
        let deposit = &mut self.deposits[undone];
        deposit.texts.extend(texts);
        deposit.amount = deposit.amount.saturating_add(taken);
        self.gone[by] = true;
        self.gone[undone] = self.deposits[undone].amount == 0;
    }

    fn name(&mut self, undone: &[usize], by: usize) {
        let texts: Vec<String> =
            undone.iter().flat_map(|other| self.deposits[*other].texts.clone()).collect();
        self.deposits[by].texts.extend(texts);
        self.named[by] = true;
    }
}

#[cfg(test)]
mod tests {
    use payops_channels::bank::read_bank_file;
    use payops_channels::options::ReadOptions;
    use payops_channels::row::Proof;
    use payops_core::currency::Exponents;

    use super::super::Bank;

    /// What is left of entries of March 2026, in euros, with the number of their texts that name a payout.
    fn left(entries: &[(u32, &str, &str)]) -> Vec<(i64, usize)> {
        let lines =
            entries.iter().map(|(day, what, text)| format!(":61:2603{day:02}03{day:02}{what}\n:86:{text}\n"));
        let lines: String = lines.collect();
        let text = format!(":20:S\n:25:DE1\n:28C:1/1\n:60F:C260301EUR100,\n{lines}");
        let bank =
            Bank::of(read_bank_file(text.as_bytes(), &ReadOptions::default()), &[], Exponents::Iso4217);
        assert_eq!((bank.summary.rejects.count, bank.summary.entries), (0, entries.len() as u64));
        assert_ne!(bank.summary.proof, Proof::Proven);
        let names = |texts: &[String]| texts.iter().filter(|text| text.starts_with("po_")).count();
        bank.deposits.iter().map(|deposit| (deposit.amount / 100, names(&deposit.texts))).collect()
    }

    #[test]
    fn what_is_taken_back_ties_to_nothing() {
        let came = (4, "C10,NTRFNONREF//B1", "po_one");
        assert_eq!(left(&[came, (25, "D10,NTRFNONREF//B1", "return")]), []);
        assert_eq!(left(&[(4, "RC10,NTRFNONREF//B1", "storno"), came]), []);
        assert_eq!(left(&[came, (5, "RC10,NTRFNONREF//B9", "storno")]), []);
        let half = (5, "RC5,NTRFNONREF//B1", "storno");
        assert_eq!(left(&[came, half]), [(5, 1)]);
        assert_eq!(left(&[came, half, half]), []);
        assert_eq!(left(&[came, (5, "RC11,NTRFNONREF//B1", "with a fee")]), [(-1, 1)]);
        // A fee has the reference of its payment, and money that left and came back is no deposit either.
        assert_eq!(left(&[came, (4, "D1,NTRFNONREF//B1", "fee")]), [(10, 1), (-1, 0)]);
        assert_eq!(left(&[came, (3, "D10,NTRFNONREF//B1", "rent")]), []);
    }

    #[test]
    fn what_another_account_has_is_not_taken_back() {
        let of = |account: &str, entry: &str| {
            format!(
                ":20:S\n:25:{account}\n:28C:1/1\n:60F:C260301EUR100,\n:61:2603040304{entry},NTRFNONREF//B1\n:62F:C260304EUR1,\n"
            )
        };
        let left = |accounts: [&str; 2]| {
            let text = of(accounts[0], "C10") + &of(accounts[1], "RC10");
            let file = read_bank_file(text.as_bytes(), &ReadOptions::default());
            Bank::of(file, &[], Exponents::Iso4217).deposits.len()
        };
        assert_eq!((left(["DE1", "DE1EUR"]), left(["DE1", "DE2"])), (0, 2));
    }

    #[test]
    fn a_reversal_that_may_be_of_several_deposits_is_about_all_of_them() {
        let two = [(4, "C10,NTRFNONREF//B1", "po_one"), (4, "C10,NTRFNONREF//B2", "po_two")];
        let reversal = (5, "RC10,NTRFNONREF//B9", "storno");
        assert_eq!(left(&[two[0], two[1], reversal]), [(10, 1), (10, 1), (-10, 2)]);
        assert_eq!(left(&[two[0], two[1], (5, "D10,NTRFNONREF//B9", "rent")]), [(10, 1), (10, 1), (-10, 0)]);
    }
}
