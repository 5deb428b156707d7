//! The third leg as people read it.

use payops_core::currency::Currency;
use payops_recon::engine::ByCurrency;
use payops_recon::payouts::{PayoutOutcome, PayoutSummary, PayoutTypeTotals, ThreeWayTie};

use super::{Left, Page, Right, align, name};

impl Page<'_> {
    /// Per currency what came out, then the bank's file and the tie. Nothing without a bank statement.
    pub(super) fn payouts(&self) -> Vec<Vec<String>> {
        let Some(payouts) = &self.summary.payouts else { return Vec::new() };
        let amounts = |totals: &PayoutTypeTotals| {
            let currencies = totals.payout_amounts.keys().chain(totals.deposit_amounts.keys());
            currencies.copied().collect::<Vec<Currency>>()
        };
        let compared = payouts.types.iter().filter(|(outcome, _)| **outcome != PayoutOutcome::OtherMovement);
        let mut currencies: Vec<Currency> = compared.flat_map(|(_, totals)| amounts(totals)).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let mut sections: Vec<Vec<String>> =
            currencies.into_iter().map(|currency| self.payouts_in(currency, payouts)).collect();
        sections.push(self.three_way(payouts));
        sections
    }

    fn payouts_in(&self, currency: Currency, payouts: &PayoutSummary) -> Vec<String> {
        let pick = |english: &str, chinese: &str| self.language.pick(english, chinese).to_owned();
        let title = pick("payouts", "打款");
        let mut rows = vec![vec![
            format!("{title} {currency}"),
            pick("groups", "组数"),
            pick("paid out", "打款金额"),
            pick("at the bank", "银行金额"),
        ]];
        for (outcome, totals) in &payouts.types {
            let sums = [&totals.payout_amounts, &totals.deposit_amounts];
            if sums.iter().all(|sums| !sums.contains_key(&currency)) {
                continue;
            }
            let amount = |sums: &ByCurrency<i128>| {
                sums.get(&currency).map(|amount| self.amount(currency, *amount)).unwrap_or_default()
            };
            let groups = totals.groups.get(&currency).copied().unwrap_or(0);
            let [paid_out, arrived] = sums.map(amount);
            rows.push(vec![
                self.language.payout_outcome(*outcome).to_owned(),
                groups.to_string(),
                paid_out,
                arrived,
            ]);
        }
        align(&rows, &[Left, Right, Right, Right])
    }

    fn three_way(&self, payouts: &PayoutSummary) -> Vec<String> {
        let bank = &payouts.bank;
        let names: Vec<String> = self.args.bank.iter().map(|path| name(path)).collect();
        let file = names.join(", ");
        let days = bank.days.map_or_else(String::new, |days| format!(", {} – {}", days.first, days.last));
        let words = self.language.pick(["entries", "bank", "three-way tie"], ["笔", "银行", "三方核对"]);
        let proof = self.language.proof(bank.proof);
        let mut rows =
            vec![vec![words[1].to_owned(), format!("{file}: {} {}{days}, {proof}", bank.entries, words[0])]];
        for check in bank.failed.iter().take(super::SHOWN_REJECTS) {
            rows.push(vec![String::new(), self.unmet(check)]);
        }
        for (currency, tie) in &payouts.currencies {
            rows.push(vec![words[2].to_owned(), self.three_way_of(*currency, tie)]);
        }
        if payouts.currencies.is_empty() {
            rows.push(vec![words[2].to_owned(), self.language.three_way(payouts.proof).to_owned()]);
        }
        align(&rows, &[Left, Left])
    }

    /// `rows 100.00 = payouts 100.00 = bank 60.00 + in transit 40.00`, with every gap that there is.
    fn three_way_of(&self, currency: Currency, tie: &ThreeWayTie) -> String {
        let amount = |value: i128| self.amount(currency, value);
        let words = self.language.pick(["rows", "payouts", "bank"], ["明细", "打款", "银行"]);
        let equal = |holds: bool| if holds { "=" } else { "≠" };
        let outcome = |outcome| self.language.payout_outcome(outcome);
        let without = self.language.pick("payouts without rows of their own:", "无明细的打款笔数：");
        let itemised = equal(tie.rows == tie.itemised && tie.not_itemised == 0);
        let gaps = [
            (self.language.pick("short", "不足"), tie.short),
            (outcome(PayoutOutcome::PayoutAmbiguous), tie.ambiguous),
            (outcome(PayoutOutcome::PayoutMissing), tie.missing),
            (outcome(PayoutOutcome::InTransit), tie.in_transit),
            (outcome(PayoutOutcome::NotCovered), tie.not_covered),
        ];
        let mut parts = vec![format!("{currency} {}: ", self.language.three_way(tie.proof))];
        if tie.not_itemised > 0 {
            parts.push(format!("{without} {}; ", tie.not_itemised));
        }
        parts.push(format!("{} {} {itemised} ", words[0], amount(tie.rows)));
        parts.push(format!("{} {} = {} {}", words[1], amount(tie.payouts), words[2], amount(tie.deposits)));
        let gaps = gaps.into_iter().filter(|(_, value)| *value != 0);
        parts.extend(gaps.map(|(name, value)| format!(" + {name} {}", amount(value))));
        if tie.unknown != 0 {
            parts.push(format!("; {} {}", outcome(PayoutOutcome::PayoutUnknown), amount(tie.unknown)));
        }
        parts.extend(self.language.named_payouts(tie, amount).map(|told| format!("; {told}")));
        parts.concat()
    }
}
