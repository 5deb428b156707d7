//! Money that the bank took back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use payops_channels::bank::{BankEntry, ReferenceKind};
use payops_core::currency::Currency;
use sha2::{Digest, Sha256};

use super::Deposit;
use super::reference::ids_in_common;

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
/// and is marked as a reversal, or of exactly the opposite amount; and of a reversal that names none by a reference where one
/// deposit alone has the opposite amount. What is left of a deposit stays. A reversal that another one undoes, which has its
/// reference and the opposite amount, takes nothing back. A reversal may be of a later day; within a day entries have no order.
///
/// Of several that share the reference that one is meant that has the opposite amount, and of several of these the one whose id or
/// further reference the reversal has. Where several remain, nobody knows which: the reversal gets their texts, so that it is no
/// other money's. What names a deposit that is gone already is left as it is.
///
/// What stands in a statement that is read only for what it takes back leaves nothing else: no deposit, and no reversal but one
/// that may be of several.
///
/// With the deposits it returns what else may take back a deposit of another statement: what has found none by a reference. A
/// reversal that found one by its amount is among it, since another statement may have the one with its reference; what it has
/// taken back may be there again then.
pub(super) fn take_back(deposits: Vec<Deposit>) -> TakenBack {
    let marks: Vec<Mark> = deposits.iter().map(|deposit| deposit.mark.clone()).collect();
    let mut ledger = Ledger::new(deposits, &marks);
    let order = ledger.order.clone();
    // What is undone itself must not have taken anything before.
    let marked: Vec<usize> = order.iter().copied().filter(|place| marks[*place].is_reversal).collect();
    ledger.settle(marked.iter().rev(), Ledger::is_undone_again);
    ledger.settle(order.iter(), Ledger::is_opposite);
    // Another entry may be a fee, which has the reference of its payment too and undoes nothing.
    ledger.settle(marked.iter(), Ledger::may_be_undone);
    let may_take_back = |deposit: &Deposit| {
        deposit.mark.is_reversal || (deposit.amount < 0 && !deposit.mark.references.is_empty())
    };
    let open =
        ledger.deposits.iter().zip(&ledger.gone).filter(|(deposit, gone)| !**gone && may_take_back(deposit));
    let reversals = open.flat_map(|(deposit, _)| Trace::of(deposit)).collect();
    for place in marked {
        ledger.take_back_by_amount(place);
    }
    let Ledger { deposits, gone, stays, rests_on, .. } = ledger;
    let stays = gone.into_iter().zip(stays).map(|(gone, stays)| stays && !gone);
    let deposits = deposits.into_iter().zip(stays).filter_map(|(deposit, stays)| stays.then_some(deposit));
    let deposits = deposits.collect();
    TakenBack { deposits, reversals, rests_on }
}

/// What is left of deposits when what was taken back is off.
pub(super) struct TakenBack {
    /// The deposits.
    pub deposits: Vec<Deposit>,
    /// What may take back a deposit of another statement.
    pub reversals: Vec<Trace>,
    /// The deposits that a reversal took back by its amount alone, and the reversals that took something back.
    pub rests_on: Vec<Trace>,
}

/// The deposits, less what was taken back of them.
struct Ledger<'a> {
    deposits: Vec<Deposit>,
    marks: &'a [Mark],
    /// All places, the first day first, in an order that no file and no place in it shows in.
    order: Vec<usize>,
    /// Those that have a reference, in this order.
    by_reference: HashMap<&'a str, Vec<usize>>,
    /// Those that have an amount, in this order.
    by_amount: HashMap<i64, Vec<usize>>,
    gone: Vec<bool>,
    /// What has the texts of several deposits.
    named: Vec<bool>,
    /// What is told of if it is not gone.
    stays: Vec<bool>,
    rests_on: Vec<Trace>,
}

impl<'a> Ledger<'a> {
    fn new(deposits: Vec<Deposit>, marks: &'a [Mark]) -> Self {
        let mut order: Vec<usize> = (0..marks.len()).collect();
        order.sort_by(|one, other| {
            let key = |place: usize| {
                let (deposit, mark) = (&deposits[place], &marks[place]);
                let marked = (mark.is_reversal, mark.is_elsewhere, &mark.account, &mark.references);
                (deposit.date, deposit.currency, deposit.amount, marked, &deposit.texts)
            };
            key(*one).cmp(&key(*other))
        });
        let mut by_reference: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut by_amount: HashMap<i64, Vec<usize>> = HashMap::new();
        for place in &order {
            by_amount.entry(deposits[*place].amount).or_default().push(*place);
            for reference in &marks[*place].references {
                by_reference.entry(reference).or_default().push(*place);
            }
        }
        let none = vec![false; marks.len()];
        Self {
            gone: none.clone(),
            named: none,
            stays: marks.iter().map(|mark| !mark.is_elsewhere).collect(),
            deposits,
            marks,
            order,
            by_reference,
            by_amount,
            rests_on: Vec::new(),
        }
    }

    /// Whether an entry could undo another by its direction, currency and day, if both were there still.
    fn could_undo(&self, undone: usize, by: usize) -> bool {
        let (deposit, entry) = (&self.deposits[undone], &self.deposits[by]);
        let (undone_mark, mark) = (&self.marks[undone], &self.marks[by]);
        mark.amount.signum() * undone_mark.amount.signum() < 0
            && deposit.date <= entry.date
            && entry.currency == deposit.currency
            && undone_mark.account == mark.account
    }

    /// The same for a deposit that is no reversal itself, of which something is left.
    fn may_be_undone(&self, undone: usize, by: usize) -> bool {
        self.could_undo(undone, by)
            && !self.gone[undone]
            && !self.gone[by]
            && !self.marks[undone].is_reversal
            && self.deposits[by].amount.signum() * self.deposits[undone].amount.signum() < 0
    }

    fn has_opposite_amount(&self, undone: usize, by: usize) -> bool {
        self.deposits[by].amount.checked_neg() == Some(self.deposits[undone].amount)
    }

    fn is_opposite(&self, undone: usize, by: usize) -> bool {
        self.may_be_undone(undone, by) && self.has_opposite_amount(undone, by)
    }

    /// Whether a reversal undoes another, or money that left: what these took back is there again.
    fn is_undone_again(&self, undone: usize, by: usize) -> bool {
        (self.marks[undone].is_reversal || self.marks[by].amount > 0)
            && !self.gone[undone]
            && self.could_undo(undone, by)
            && self.has_opposite_amount(undone, by)
    }

    /// The entries that share a reference with one, in order.
    fn sharing(&self, by: usize) -> Vec<usize> {
        let referred = self.marks[by].references.iter().filter_map(|own| self.by_reference.get(own.as_str()));
        let telling = referred.filter(|places| places.len() <= MOST_WITH_REFERENCE);
        let mut seen = HashSet::new();
        telling.flatten().copied().filter(|place| seen.insert(*place)).collect()
    }

    /// Takes off what is undone by those that share its reference. What is not clear at first may be when the others have theirs.
    fn settle<'b>(
        &mut self,
        order: impl Iterator<Item = &'b usize>,
        is_undone: fn(&Self, usize, usize) -> bool,
    ) {
        let mut unclear = Vec::new();
        for by in order {
            match self.undone(*by, is_undone)[..] {
                [] => {}
                [undone] => self.take_off(undone, *by),
                _ => unclear.push(*by),
            }
        }
        for by in unclear {
            match &self.undone(by, is_undone)[..] {
                [] => {}
                [undone] => self.take_off(*undone, by),
                several => self.name(several, by),
            }
        }
    }

    /// What an entry may have undone of those that share its reference: one, or several of which nobody knows which.
    fn undone(&self, by: usize, is_undone: fn(&Self, usize, usize) -> bool) -> Vec<usize> {
        if self.gone[by] || self.named[by] {
            return Vec::new();
        }
        let mut undone = self.sharing(by);
        undone.retain(|other| is_undone(self, *other, by));
        if !(2..=MOST_NAMED).contains(&undone.len()) {
            return undone;
        }
        let mut tied: Vec<(usize, BTreeSet<String>)> = Vec::new();
        for other in undone {
            let own = self.marks[other].references.iter();
            let references = own.filter(|own| self.marks[by].references.contains(own)).cloned();
            let ids = ids_in_common(&self.deposits[other].texts, &self.deposits[by].texts);
            tied.push((other, references.chain(ids).collect()));
        }
        while let Some(closer) = closer(&tied) {
            tied = closer;
        }
        let undone: Vec<usize> = tied.into_iter().map(|(other, _)| other).collect();
        match undone[..] {
            [.., last] if undone.iter().all(|other| self.are_alike(*other, last)) => vec![last],
            _ => undone,
        }
    }

    /// Whether it makes no difference which of two is undone.
    fn are_alike(&self, one: usize, other: usize) -> bool {
        let (one_mark, other_mark) = (&self.marks[one], &self.marks[other]);
        let (one, other) = (&self.deposits[one], &self.deposits[other]);
        let are_reversals = one_mark.is_reversal && other_mark.is_reversal;
        one.amount == other.amount
            && one_mark.is_elsewhere == other_mark.is_elsewhere
            && one_mark.references == other_mark.references
            && (are_reversals || (one.date == other.date && one.texts == other.texts))
    }

    /// A reversal that names nothing that is at hand is of the one deposit that has its amount, or of any of several.
    fn take_back_by_amount(&mut self, by: usize) {
        let names = |ledger: &Self| ledger.sharing(by).iter().any(|other| ledger.could_undo(*other, by));
        if self.gone[by] || self.named[by] || names(self) {
            return;
        }
        let opposite = self.deposits[by].amount.checked_neg();
        let alike = opposite.and_then(|amount| self.by_amount.get(&amount)).into_iter().flatten().copied();
        let undone: Vec<usize> =
            alike.filter(|other| self.is_opposite(*other, by)).take(MOST_NAMED).collect();
        match undone[..] {
            [] => {}
            [undone] => {
                if !self.marks[undone].is_elsewhere {
                    self.rests_on.extend(Trace::of(&self.deposits[undone]));
                }
                self.take_off(undone, by);
            }
            _ => self.name(&undone, by),
        }
    }

    fn take_off(&mut self, undone: usize, by: usize) {
        if self.marks[by].is_reversal && !self.marks[undone].is_elsewhere {
            // Another reversal may take it back like a deposit.
            let traces = Trace::of(&self.deposits[by]).into_iter();
            self.rests_on.extend(traces.map(|trace| Trace { is_reversal: false, ..trace }));
        }
        let texts = std::mem::take(&mut self.deposits[by].texts);
        let taken = self.deposits[by].amount;
        let deposit = &mut self.deposits[undone];
        deposit.texts.extend(texts);
        deposit.amount = deposit.amount.saturating_add(taken);
        self.gone[by] = true;
        self.gone[undone] = self.deposits[undone].amount == 0;
    }

    fn name(&mut self, undone: &[usize], by: usize) {
        let named = undone.iter().take(MOST_NAMED);
        let texts: Vec<String> = named.flat_map(|other| self.deposits[*other].texts.clone()).collect();
        self.deposits[by].texts.extend(texts);
        self.named[by] = true;
        // Of other statements only what takes money back counts.
        let takes_money = self.marks[by].is_reversal || self.marks[by].amount < 0;
        self.stays[by] |= takes_money && undone.iter().any(|other| self.stays[*other]);
    }
}

/// Those that have more in common with a reversal than all of them have; `None` where it tells none from the others.
fn closer(tied: &[(usize, BTreeSet<String>)]) -> Option<Vec<(usize, BTreeSet<String>)>> {
    let (_, first) = tied.first()?;
    let is_of_all = |tie: &&String| tied.iter().all(|(_, ties)| ties.contains(*tie));
    let of_all: BTreeSet<String> = first.iter().filter(is_of_all).cloned().collect();
    let closer: Vec<(usize, BTreeSet<String>)> =
        tied.iter().filter(|(_, ties)| ties.len() > of_all.len()).cloned().collect();
    (!closer.is_empty() && closer.len() < tied.len()).then_some(closer)
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
        let text = format!(":20:S\n:25:DE1\n:28C:1/1\n:60F:C260301EUR100,\n{lines}:62F:C260331EUR0,\n");
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

    #[test]
    fn a_reversal_of_what_is_gone_takes_no_other_deposit_of_its_amount() {
        let two = [(4, "C10,NTRFNONREF//B1", "po_one"), (4, "C10,NTRFNONREF//B2", "po_two")];
        let reversals = [(5, "RC10,NTRFNONREF//B1", "storno"), (6, "RC10,NTRFNONREF//B1", "storno")];
        assert_eq!(left(&[two[0], two[1], reversals[0], reversals[1]]), [(10, 1), (-10, 0)]);
        assert_eq!(left(&[reversals[1], reversals[0], two[1], two[0]]), [(-10, 0), (10, 1)]);
    }

    #[test]
    fn of_deposits_that_share_a_reference_that_of_the_amount_or_the_text_is_taken_back() {
        let [ten, twenty] =
            [(4, "C10,NTRFNONREF//B1", "po_1000001"), (4, "C20,NTRFNONREF//B1", "po_1000002")];
        let of_twenty = (5, "RC20,NTRFNONREF//B1", "storno");
        assert_eq!(left(&[ten, twenty, of_twenty]), [(10, 1)]);
        assert_eq!(left(&[of_twenty, twenty, ten]), [(10, 1)]);
        assert_eq!(left(&[ten, twenty, (5, "D20,NTRFNONREF//B1", "return")]), [(10, 1)]);
        // A part may be of either, unless its text tells.
        let part = (5, "RC5,NTRFNONREF//B1", "storno");
        assert_eq!(left(&[ten, twenty, part]), [(10, 1), (20, 1), (-5, 2)]);
        assert_eq!(left(&[part, twenty, ten]), [(-5, 2), (20, 1), (10, 1)]);
        let told = (5, "RC5,NTRFNONREF//B1", "storno PO_1000002");
        assert_eq!(left(&[ten, twenty, told]), [(10, 1), (15, 1)]);
        let alike = (4, "C10,NTRFNONREF//B1", "po_1000003");
        for by in ["RC10,NTRFNONREF//B1", "D10,NTRFNONREF//B1"] {
            assert_eq!(left(&[ten, alike, (5, by, "storno")]), [(10, 1), (10, 1), (-10, 2)]);
            assert_eq!(left(&[ten, alike, (5, by, "storno po_1000001")]), [(10, 1)]);
            // When one has its own, the other's is clear.
            let both = [ten, alike, (5, by, "storno"), (6, by, "storno po_1000001")];
            assert_eq!(left(&both), []);
        }
        // Nothing tells these apart, and nothing need to.
        assert_eq!(left(&[ten, ten, (5, "RC10,NTRFNONREF//B1", "storno")]), [(10, 1)]);
    }

    #[test]
    fn a_reversal_without_a_reference_does_not_hang_on_the_order_of_entries() {
        let [first, second] = [(4, "C10,NTRFNONREF", "po_one"), (6, "C10,NTRFNONREF", "po_two")];
        let [early, late] = [(5, "RC10,NTRFNONREF", "storno"), (7, "RC10,NTRFNONREF", "storno")];
        assert_eq!(left(&[first, second, early, late]), []);
        assert_eq!(left(&[late, early, second, first]), []);
    }

    #[test]
    fn a_reversal_that_is_undone_takes_nothing_back() {
        let came = (4, "C10,NTRFNONREF//B1", "po_one");
        let again = (6, "RD10,NTRFNONREF//B1", "storno of the storno");
        for undone in ["RC10,NTRFNONREF//B1", "D10,NTRFNONREF//B1"] {
            for day in [4, 5, 6] {
                assert_eq!(left(&[came, (day, undone, "storno"), again]), [(10, 1)]);
                assert_eq!(left(&[again, (day, undone, "storno"), came]), [(10, 1)]);
            }
        }
        let storno = (5, "RC10,NTRFNONREF//B1", "storno");
        assert_eq!(left(&[came, storno, storno, again]), []);
        assert_eq!(left(&[came, storno, again, (7, "RC10,NTRFNONREF//B1", "storno")]), []);
        let half = (5, "RC5,NTRFNONREF//B1", "storno");
        assert_eq!(left(&[came, half, (6, "RD5,NTRFNONREF//B1", "storno")]), [(10, 1)]);
    }
}
