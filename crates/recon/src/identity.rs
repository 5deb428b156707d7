//! When is a difference of a new run the same as one of the run before? When it states the same facts, wherever
//! in its file it stands. Its resolution then stands too.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::engine::{Difference, ListedRow};
use crate::payouts::PayoutDifference;

/// Names the differences of one run. It remembers eight bytes of each, since there may be millions; the few that are not
/// the first with theirs are numbered by all sixteen.
#[derive(Debug, Default)]
pub struct Identities {
    seen: HashSet<u64>,
    repeated: HashMap<[u8; 16], u32>,
}

impl Identities {
    /// The identity of the next difference: a hash of its facts, and its number among equal ones, so that two
    /// equal rows stay two.
    pub fn next(&mut self, difference: &Difference<'_>) -> String {
        self.numbered(facts(difference))
    }

    /// The same for a difference between payouts and bank.
    pub fn next_of_payouts(&mut self, difference: &PayoutDifference<'_>) -> String {
        self.numbered(facts_of_payouts(difference))
    }

    fn numbered(&mut self, facts: [u8; 16]) -> String {
        let mut start = [0; 8];
        start.copy_from_slice(&facts[..8]);
        let number = if self.seen.insert(u64::from_le_bytes(start)) {
            1
        } else {
            let number = self.repeated.entry(facts).or_insert(1);
            *number += 1;
            *number
        };
        format!("{}-{number}", hex::encode(facts))
    }
}

fn facts_of_payouts(difference: &PayoutDifference<'_>) -> [u8; 16] {
    let mut facts = Facts::default();
    facts.add(difference.outcome.as_str().as_bytes());
    for payout in &difference.payouts {
        facts.add(b"payout");
        facts.add(payout.id.as_bytes());
        facts.add(payout.currency.as_str().as_bytes());
        facts.add(&payout.amount.to_le_bytes());
    }
    for deposit in &difference.deposits {
        facts.add(b"deposit");
        facts.add(deposit.currency.as_str().as_bytes());
        facts.add(&deposit.amount.to_le_bytes());
        facts.add(deposit.date.to_string().as_bytes());
        deposit.texts.iter().for_each(|text| facts.add(text.as_bytes()));
    }
    facts.finish()
}

/// 128 bits of SHA-256 over facts, each with its length, so that no two different lists of facts are
/// written alike.
#[derive(Default)]
struct Facts(Sha256);

impl Facts {
    fn add(&mut self, fact: &[u8]) {
        self.0.update((fact.len() as u64).to_le_bytes());
        self.0.update(fact);
    }

    fn finish(self) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0.finalize()[..16]);
        short
    }
}

fn facts(difference: &Difference<'_>) -> [u8; 16] {
    let mut facts = Facts::default();
    let mut add = |fact: &[u8]| facts.add(fact);
    add(difference.diff_type.as_str().as_bytes());
    add(difference.kind().as_str().as_bytes());
    for side in [&difference.platform, &difference.channel] {
        match side {
            None => add(b"absent"),
            Some(ListedRow { row, .. }) => {
                add(b"present");
                add(row.row_id);
                add(row.channel_trade_no);
                add(row.currency.as_str().as_bytes());
                add(&row.amount.to_le_bytes());
                add(row.raw_status);
            }
        }
    }
    if let Some(adjustment) = &difference.adjustment {
        add(adjustment.rule.as_bytes());
    }
    facts.finish()
}

#[cfg(test)]
mod tests {
    use payops_channels::row::{Kind, Position, Row};
    use payops_core::currency::Currency;

    use super::*;
    use crate::engine::DiffType;

    fn listed(amount: i64, line: u64) -> ListedRow<'static> {
        let row = Row {
            kind: Kind::Payment,
            channel_trade_no: b"ch_1",
            charge_id: b"",
            payment_intent_id: b"",
            row_id: b"PAY-1",
            amount,
            currency: Currency::USD,
            status: None,
            raw_status: b"",
            fee: None,
            net: None,
            payout_id: b"",
            merchant_id: b"",
            occurred_at: b"",
            in_window: true,
        };
        ListedRow { position: Position { offset: 0, line, ordinal: line }, row }
    }

    fn difference(
        diff_type: DiffType,
        platform: Option<ListedRow<'static>>,
        channel: Option<ListedRow<'static>>,
    ) -> Difference<'static> {
        let (adjustment, candidates, candidate_count) = (None, Vec::new(), 0);
        Difference { diff_type, platform, channel, adjustment, candidates, candidate_count }
    }

    fn only(amount: i64, line: u64) -> Difference<'static> {
        difference(DiffType::PlatformOnly, Some(listed(amount, line)), None)
    }

    #[test]
    fn the_same_facts_elsewhere_in_the_file_are_the_same() {
        let (mut before, mut after) = (Identities::default(), Identities::default());
        assert_eq!(before.next(&only(100, 2)), after.next(&only(100, 9)));
    }

    #[test]
    fn other_facts_and_further_equals_are_others() {
        let mut identities = Identities::default();
        let first = identities.next(&only(100, 2));
        assert_ne!(first, identities.next(&only(101, 2)));
        assert_ne!(first, identities.next(&only(100, 2)));
        let channel = difference(DiffType::ChannelOnly, None, Some(listed(100, 2)));
        assert_ne!(first, identities.next(&channel));
    }
}
