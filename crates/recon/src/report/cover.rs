//! What a report on paper or in a workbook is made of: everything but its rows, and one row.

use std::borrow::Cow;

use chrono::NaiveDate;
use payops_channels::report::ControlCheck;
use payops_channels::row::Kind;
use payops_core::currency::{Currency, Exponents};
use payops_core::time::Timestamp;

use super::words::Words;
use crate::api::wire::Record;
use crate::engine::{
    ByCurrency, DiffType, Difference, ListedRow, Rejects, RowCounts, Side, SideSummary, Summary,
};
use crate::model::{ReasonCode, RecordStatus};
use crate::payouts::{PayoutDifference, PayoutSummary, ThreeWayTie};

/// All of a report but its rows and its certificate.
#[derive(Debug, Clone)]
pub struct Cover {
    /// The language it is in.
    pub words: Words,
    /// How many decimals amounts have.
    pub exponents: Exponents,
    /// The task's number, where a task was run.
    pub task_no: Option<String>,
    /// The channel.
    pub channel: String,
    /// The channel account; empty for the only one.
    pub account: String,
    /// The business day and its zone; `None` when whole files were compared.
    pub day: Option<(NaiveDate, String)>,
    /// Which run of the task.
    pub run_no: Option<i64>,
    /// When that run was completed: the time that the file states. `None` where nobody keeps it, as on the command line.
    pub completed_at: Option<Timestamp>,
    /// What was compared: in which role, under which name.
    pub files: Vec<(String, String)>,
    /// The figures.
    pub summary: Summary,
    /// How many differences stand in which state; empty where nobody works on them.
    pub work: Vec<(RecordStatus, u64)>,
    /// Where all rows are, when a report shows the first only.
    pub rest: String,
}

/// How many decimals a channel's amounts have.
pub fn exponents(channel: &str) -> Exponents {
    match channel {
        "stripe" => Exponents::Stripe,
        "paypal" => Exponents::PayPal,
        _ => Exponents::Iso4217,
    }
}

/// One type's rows in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) rows: RowCounts,
    pub(super) platform: i128,
    pub(super) channel: i128,
}

impl Cover {
    /// What the report is of, in one line.
    pub(super) fn title(&self) -> String {
        let title = self.words.pick("Reconciliation report", "对账报告");
        let day = self.day.as_ref().map(|(day, _)| day.to_string());
        let of = self.task_no.clone().or(day).unwrap_or_default();
        format!("{title} {} {of}", self.channel).trim_end().to_owned()
    }

    /// The tag of its language.
    pub(super) fn language_tag(&self) -> &'static str {
        self.words.pick("en", "zh-CN")
    }

    /// What it is about: what it is called, and what it is.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let pick = |english, chinese| self.words.pick(english, chinese);
        let mut facts = Vec::new();
        facts.extend(self.task_no.clone().map(|number| (pick("Task", "任务"), number)));
        facts.push((pick("Channel", "渠道"), self.channel.clone()));
        if !self.account.is_empty() {
            facts.push((pick("Account", "账户"), self.account.clone()));
        }
        let all = || pick("all rows of the files", "文件中的全部数据").to_owned();
        let day = self.day.as_ref().map_or_else(all, |(day, zone)| format!("{day} ({zone})"));
        facts.push((pick("Business day", "业务日期"), day));
        facts.extend(self.run_no.map(|run| (pick("Run", "运行"), run.to_string())));
        let completed = self.completed_at.map(|at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
        facts.extend(completed.map(|at| (pick("Completed", "完成时间"), at)));
        facts.extend(self.files.iter().map(|(role, name)| (self.role(role), name.clone())));
        facts.push((pick("Verdict", "结论"), self.words.verdict(self.summary.verdict).to_owned()));
        facts.push((pick("Match rate", "匹配率"), self.match_rate()));
        facts
    }

    fn match_rate(&self) -> String {
        let Some(rate) = &self.summary.match_rate else {
            return self.words.pick("nothing was compared", "没有可比对的记录").to_owned();
        };
        let (whole, rest) = (rate.ten_thousandths / 100, rate.ten_thousandths % 100);
        format!("{whole}.{rest:02} % ({} / {})", count(rate.matched), count(rate.compared))
    }

    /// What a file was used as.
    pub(super) fn role(&self, role: &str) -> &'static str {
        match role {
            "platform" => self.words.pick("Platform file", "平台文件"),
            "balance_summary" => self.words.pick("Balance summary", "余额汇总"),
            "bank" | "bank_statement" => self.words.pick("Bank statement", "银行对账单"),
            "bank_reversals" => self.words.pick("Bank statement (reversals)", "银行对账单（冲回）"),
            "payouts" => self.words.pick("Report of payouts", "打款报告"),
            "payout_rows" => self.words.pick("Rows of payouts", "打款明细"),
            _ => self.words.pick("Channel file", "渠道文件"),
        }
    }

    /// The currencies of what was compared, in the order of their codes.
    pub(super) fn currencies(&self) -> Vec<Currency> {
        let types = self.summary.types.values();
        let mut currencies: Vec<Currency> = types.flat_map(|totals| totals.rows.keys().copied()).collect();
        currencies.sort_unstable();
        currencies.dedup();
        currencies
    }

    /// The rows of one type in one currency; `None` without any.
    pub(super) fn total(&self, diff_type: DiffType, currency: Currency) -> Option<Total> {
        let totals = self.summary.types.get(&diff_type)?;
        let sum = |sums: &ByCurrency<i128>| sums.get(&currency).copied().unwrap_or(0);
        let rows = *totals.rows.get(&currency)?;
        let (platform, channel) = (sum(&totals.platform_amounts), sum(&totals.channel_amounts));
        Some(Total { rows, platform, channel })
    }

    /// All rows of one currency whose money moved or should have: `not_expected` is told beside it and not added.
    pub(super) fn all(&self, currency: Currency) -> Total {
        let counted = DiffType::ALL.into_iter().filter(|diff_type| diff_type.is_counted());
        let nothing = Total { rows: RowCounts::default(), platform: 0, channel: 0 };
        counted.filter_map(|diff_type| self.total(diff_type, currency)).fold(nothing, |sum, total| Total {
            rows: RowCounts {
                platform: sum.rows.platform + total.rows.platform,
                channel: sum.rows.channel + total.rows.channel,
            },
            platform: sum.platform + total.platform,
            channel: sum.channel + total.channel,
        })
    }

    /// How many rows somebody has to explain, those between payouts and bank among them.
    pub(super) fn differences(&self) -> u64 {
        let of_payouts = self.summary.payouts.as_ref().map_or(0, PayoutSummary::differences);
        self.summary.differences() + of_payouts
    }

    /// The heads of a table of ties between rows, payouts and bank, the first and last column aside.
    pub(super) fn three_way_heads(&self) -> [&'static str; 8] {
        self.words.pick(
            ["rows", "payouts", "bank", "short", "ambiguous", "missing", "in transit", "not covered"],
            ["明细", "打款", "银行入账", "不足", "无法唯一匹配", "未到账", "在途", "不在所查日期内"],
        )
    }

    /// The amounts below them.
    pub(super) fn three_way_amounts(tie: &ThreeWayTie) -> [i128; 8] {
        let ThreeWayTie {
            rows, payouts, deposits, short, ambiguous, missing, in_transit, not_covered, ..
        } = *tie;
        [rows, payouts, deposits, short, ambiguous, missing, in_transit, not_covered]
    }

    /// Each file as a whole.
    pub(super) fn sides(&self) -> [(Side, &SideSummary); 2] {
        [(Side::Platform, &self.summary.platform), (Side::Channel, &self.summary.channel)]
    }

    /// What could not be read, by what it could not be read of.
    pub(super) fn rejects(&self) -> Vec<(&'static str, &Rejects)> {
        let summary = self.words.pick("Balance summary", "余额汇总");
        let files = self.sides().map(|(side, file)| (self.words.side(side), &file.rejects));
        let files = files.into_iter().chain([(summary, &self.summary.tie.rejects)]);
        let bank = self.summary.payouts.as_ref().map(|payouts| &payouts.bank.rejects);
        let files = files.chain(bank.map(|rejects| (self.role("bank"), rejects)));
        files.filter(|(_, rejects)| rejects.count > 0).collect()
    }

    /// A control total that does not hold.
    pub(super) fn failed_check(&self, side: Side, check: &ControlCheck) -> String {
        let amount = |value: i128| match check.currency {
            Some(currency) => format!("{currency} {}", self.money(currency, value)),
            None => value.to_string(),
        };
        let stated = check.stated.map_or_else(|| "?".to_owned(), amount);
        let [says, found] = self.words.pick(["the file states", "its rows give"], ["声明", "实际"]);
        let (side, found_amount) = (self.words.side(side), amount(check.found));
        format!("{side} {}: {says} {stated}, {found} {found_amount}", check.name)
    }

    /// An amount in major units, with commas between thousands.
    pub(super) fn money(&self, currency: Currency, minor: i128) -> String {
        grouped(&major(minor, self.exponents.of(currency)))
    }
}

/// A row of a report: an outcome with what is known of it.
#[derive(Debug, Clone, Default)]
pub struct Line<'a> {
    pub(super) diff_type: Cow<'a, str>,
    pub(super) kind: Cow<'a, str>,
    pub(super) channel_trade_no: Cow<'a, str>,
    pub(super) payment_no: Cow<'a, str>,
    pub(super) channel_row_id: Cow<'a, str>,
    pub(super) merchant_id: Cow<'a, str>,
    pub(super) payout_id: Cow<'a, str>,
    pub(super) occurred_at: Cow<'a, str>,
    pub(super) platform: LineSide<'a>,
    pub(super) channel: LineSide<'a>,
    /// The rule of tolerance that allows the gap.
    pub(super) rule: Cow<'a, str>,
    /// What is booked as an adjustment, in minor units of the channel's currency.
    pub(super) adjustment: Option<i128>,
    /// How many rows of the other side it could belong to.
    pub(super) candidate_count: u64,
    /// The lines of the first of them in the other side's file.
    pub(super) candidate_lines: Vec<u64>,
    pub(super) work: Option<Work<'a>>,
}

/// What one side says.
#[derive(Debug, Clone, Default)]
pub(super) struct LineSide<'a> {
    /// Minor units and the currency; payouts together may exceed 64 bits.
    pub(super) money: Option<(i128, Currency)>,
    pub(super) status: Cow<'a, str>,
    pub(super) line: Option<u64>,
}

/// What people have done about it.
#[derive(Debug, Clone)]
pub(super) struct Work<'a> {
    pub(super) status: RecordStatus,
    pub(super) assigned_to: &'a str,
    pub(super) reason: Option<ReasonCode>,
    pub(super) note: &'a str,
    pub(super) resolved_by: &'a str,
    pub(super) resolved_at: Option<Timestamp>,
}

impl Line<'_> {
    /// Whether somebody has to explain it.
    pub(super) fn is_difference(&self) -> bool {
        DiffType::named(&self.diff_type).is_none_or(DiffType::is_difference)
    }

    /// What is booked as an adjustment, with its currency.
    pub(super) fn booked(&self) -> Option<(i128, Currency)> {
        self.adjustment
            .zip(self.channel.money.or(self.platform.money))
            .map(|(booked, (_, currency))| (booked, currency))
    }

    /// The channel's amount less the platform's, in minor units of one currency; a side that is absent counts as
    /// nothing.
    pub(super) fn gap(&self) -> Option<(i128, Currency)> {
        match (self.platform.money, self.channel.money) {
            (Some((ours, currency)), Some((theirs, other))) => {
                (currency == other).then(|| (theirs - ours, currency))
            }
            (Some((ours, currency)), None) => Some((-ours, currency)),
            (None, Some((theirs, currency))) => Some((theirs, currency)),
            (None, None) => None,
        }
    }
}

impl<'a> From<&'a Record> for Line<'a> {
    fn from(record: &'a Record) -> Self {
        let text = |value: &'a Option<String>| Cow::Borrowed(value.as_deref().unwrap_or_default());
        let side = |amount: Option<i64>, currency: &Option<String>, status, line: Option<i64>| LineSide {
            money: amount.map(i128::from).zip(currency.as_ref().and_then(|code| code.parse().ok())),
            status: text(status),
            line: line.and_then(|line| u64::try_from(line).ok()),
        };
        Self {
            diff_type: Cow::Borrowed(&record.diff_type),
            kind: Cow::Borrowed(&record.kind),
            channel_trade_no: text(&record.channel_trade_no),
            payment_no: text(&record.payment_no),
            channel_row_id: text(&record.channel_row_id),
            merchant_id: text(&record.merchant_id),
            payout_id: text(&record.payout_id),
            occurred_at: text(&record.occurred_at),
            platform: side(
                record.platform_amount,
                &record.platform_currency,
                &record.platform_status,
                record.platform_line,
            ),
            channel: side(
                record.channel_amount,
                &record.channel_currency,
                &record.channel_status,
                record.channel_line,
            ),
            rule: text(&record.tolerance_rule),
            adjustment: record.adjustment.map(i128::from),
            candidate_count: record.candidate_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
            candidate_lines: record
                .candidates
                .iter()
                .filter_map(|row| u64::try_from(row.line?).ok())
                .collect(),
            work: Some(Work {
                status: record.status,
                assigned_to: record.assigned_to.as_deref().unwrap_or_default(),
                reason: record.reason_code,
                note: record.resolution_note.as_deref().unwrap_or_default(),
                resolved_by: record.resolved_by.as_deref().unwrap_or_default(),
                resolved_at: record.resolved_at,
            }),
        }
    }
}

impl<'a> From<&Difference<'a>> for Line<'a> {
    fn from(difference: &Difference<'a>) -> Self {
        let (platform, channel) = (difference.platform.as_ref(), difference.channel.as_ref());
        let text = |row: Option<&ListedRow<'a>>, of: fn(&ListedRow<'a>) -> &'a [u8]| {
            row.map_or(Cow::Borrowed(""), |row| String::from_utf8_lossy(of(row)))
        };
        let side = |row: Option<&ListedRow<'a>>| LineSide {
            money: row.map(|row| (row.row.amount.into(), row.row.currency)),
            status: text(row, |row| row.row.raw_status),
            line: row.map(|row| row.position.line),
        };
        Self {
            diff_type: Cow::Borrowed(difference.diff_type.as_str()),
            kind: Cow::Borrowed(difference.kind().as_str()),
            channel_trade_no: String::from_utf8_lossy(difference.channel_trade_no()),
            payment_no: String::from_utf8_lossy(difference.payment_no()),
            channel_row_id: String::from_utf8_lossy(difference.channel_row_id()),
            merchant_id: text(platform, |row| row.row.merchant_id),
            payout_id: text(channel, |row| row.row.payout_id),
            occurred_at: text(platform.or(channel), |row| row.row.occurred_at),
            platform: side(platform),
            channel: side(channel),
            rule: Cow::Borrowed(difference.adjustment.map_or("", |adjustment| adjustment.rule)),
            adjustment: difference.adjustment.map(|adjustment| adjustment.amount),
            candidate_count: difference.candidate_count,
            candidate_lines: difference.candidates.iter().filter_map(ListedRow::line).collect(),
            work: None,
        }
    }
}

impl From<&PayoutDifference<'_>> for Line<'_> {
    /// The channel's side is the payouts, the platform's the bank, as in the list of differences.
    fn from(difference: &PayoutDifference<'_>) -> Self {
        let side = |sum: Option<i128>, line| LineSide {
            money: sum.zip(difference.currency()),
            status: Cow::Borrowed(""),
            line,
        };
        let first = difference.deposits.first();
        Self {
            diff_type: Cow::Borrowed(difference.outcome.as_str()),
            kind: Cow::Borrowed(Kind::Payout.as_str()),
            channel_trade_no: Cow::Owned(difference.payout_ids()),
            payment_no: Cow::Owned(difference.bank_texts()),
            platform: side(difference.arrived(), first.map(|deposit| deposit.line)),
            channel: side(difference.paid_out(), None),
            ..Self::default()
        }
    }
}

/// Minor units as a decimal number in major units: `(-1250, 2)` is "-12.50".
pub fn major(minor: i128, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let sign = if minor < 0 { "-" } else { "" };
    if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A decimal number with commas between thousands.
pub(super) fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) =
        digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let mut text = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    fraction.map_or(text.clone(), |fraction| format!("{text}.{fraction}"))
}

/// A count with commas between thousands.
pub(super) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_finance_reads_them() {
        for (minor, decimals, text) in [
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (123_456_789, 2, "1,234,567.89"),
            (-1_000, 0, "-1,000"),
            (999, 0, "999"),
            (i128::MIN, 3, "-170,141,183,460,469,231,731,687,303,715,884,105.728"),
        ] {
            assert_eq!(grouped(&major(minor, decimals)), text);
        }
    }
}
