//! Money that the bank took back.

use std::collections::HashMap;

use payops_channels::bank::{BankEntry, ReferenceKind};

use super::Deposit;

/// What is known of a deposit besides what is compared.
#[derive(Debug)]
pub(super) struct Mark {
    /// The bank says that it undoes another.
    is_reversal: bool,
    /// The bank's own references.
    bank_references: Vec<String>,
}

impl Mark {
    pub(super) fn of(entry: &BankEntry) -> Self {
        let own = entry.references.iter().filter(|reference| reference.kind == ReferenceKind::Bank);
        Self {
            is_reversal: entry.reversal,
            bank_references: own.map(|reference| reference.text.clone()).collect(),
        }
    }

    fn shares_reference(&self, other: &Self) -> bool {
        self.bank_references.iter().any(|reference| other.bank_references.contains(reference))
    }
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
pub(super) fn take_back(deposits: Vec<Deposit>, marks: &[Mark]) -> Vec<Deposit> {
    let mut by_reference: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut by_amount: HashMap<i64, Vec<usize>> = HashMap::new();
    for (place, (deposit, mark)) in deposits.iter().zip(marks).enumerate() {
        by_amount.entry(deposit.amount).or_default().push(place);
        for reference in &mark.bank_references {
            by_reference.entry(reference).or_default().push(place);
        }
    }
    let mut ledger = Ledger { gone: vec![false; deposits.len()], deposits, marks };
    for (place, mark) in marks.iter().enumerate() {
        let referred = mark.bank_references.iter().filter_map(|own| by_reference.get(own.as_str()));
        let mut known = referred.filter(|places| places.len() <= MOST_WITH_REFERENCE).flatten().copied();
        if let Some(undone) = known.find(|other| ledger.is_undone_by_reference(*other, place)) {
            ledger.take_off(undone, place);
        }
    }
    for place in (0..marks.len()).filter(|place| marks[*place].is_reversal) {
        let opposite = ledger.deposits[place].amount.checked_neg();
        let alike = opposite.and_then(|amount| by_amount.get(&amount)).into_iter().flatten().copied();
        let undone: Vec<usize> =
            alike.filter(|other| ledger.is_opposite(*other, place)).take(MOST_NAMED).collect();
        match undone[..] {
            [] => {}
            [undone] => ledger.take_off(undone, place),
            _ => ledger.name(&undone, place),
        }
    }
    let Ledger { deposits, gone, .. } = ledger;
    deposits.into_iter().zip(gone).filter(|(_, gone)| !gone).map(|(deposit, _)| deposit).collect()
}

/// The deposits, less what was taken back of them.
struct Ledger<'a> {
    deposits: Vec<Deposit>,
    marks: &'a [Mark],
    gone: Vec<bool>,
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
    fn a_reversal_that_may_be_of_several_deposits_is_about_all_of_them() {
        let two = [(4, "C10,NTRFNONREF//B1", "po_one"), (4, "C10,NTRFNONREF//B2", "po_two")];
        let reversal = (5, "RC10,NTRFNONREF//B9", "storno");
        assert_eq!(left(&[two[0], two[1], reversal]), [(10, 1), (10, 1), (-10, 2)]);
        assert_eq!(left(&[two[0], two[1], (5, "D10,NTRFNONREF//B9", "rent")]), [(10, 1), (10, 1), (-10, 0)]);
    }
}
