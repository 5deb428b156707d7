//! The result as people read it.

mod payouts;

use std::path::Path;

use payops_channels::report::ControlCheck;
use payops_channels::row::{Kind, Proof};
use payops_core::currency::{Currency, Exponents};
use payops_recon::engine::{
    ByCurrency, CurrencyTie, DiffType, MoneyTotals, Side, SideSummary, StatedBalance, Summary, Verdict,
};
use payops_recon::report::{Words, exponents, major};

use super::ReconcileArgs;

/// How many rejects of a file are shown.
const SHOWN_REJECTS: usize = 20;

/// The whole result, ending with the verdict.
pub(super) fn render(args: &ReconcileArgs, summary: &Summary, language: Words) -> String {
    let page = Page { args, summary, language, exponents: exponents(args.channel.as_str()) };
    let mut sections = vec![page.title(), page.files()];
    sections.extend(page.currencies());
    sections.extend([page.not_booked(), page.proofs()]);
    sections.extend(page.payouts());
    sections.extend([page.rejects(), page.verdict()]);
    let sections: Vec<String> =
        sections.into_iter().filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n") + "\n").collect();
    sections.join("\n")
}

struct Page<'a> {
    args: &'a ReconcileArgs,
    summary: &'a Summary,
    language: Words,
    exponents: Exponents,
}

impl Page<'_> {
    fn title(&self) -> Vec<String> {
        let channel = self.args.channel.as_str();
        let title = self.language.pick("Reconciliation", "对账");
        vec![match self.args.date {
            None => format!("{title}: {channel}"),
            Some(date) => {
                let zone = self.args.timezone.as_ref().map_or("Etc/UTC", |zone| zone.name());
                format!("{title}: {channel}, {date} {zone}")
            }
        }]
    }

    fn files(&self) -> Vec<String> {
        let pick = |english: &str, chinese: &str| self.language.pick(english, chinese).to_owned();
        let mut rows = vec![vec![
            pick("file", "文件"),
            pick("rows", "行数"),
            pick("rejects", "拒收"),
            pick("other days", "其他日期"),
            pick("control totals", "控制总数"),
            pick("name", "名称"),
        ]];
        for (side, file) in self.sides() {
            rows.push(vec![
                self.language.side(side).to_owned(),
                file.rows.to_string(),
                file.rejects.count.to_string(),
                file.rows_outside_window.to_string(),
                self.language.proof(file.control.proof).to_owned(),
                name(self.path(side)),
            ]);
        }
        let mut lines = align(&rows, &[Left, Right, Right, Right, Left, Left]);
        for (side, file) in self.sides() {
            let failed = file.control.checks.iter().filter(|check| !check.holds());
            lines.extend(failed.map(|check| self.failed_check(side, check)));
        }
        lines
    }

    fn failed_check(&self, side: Side, check: &ControlCheck) -> String {
        format!("  {} {}", self.language.side(side), self.unmet(check))
    }

    /// A control total that its file does not meet.
    fn unmet(&self, check: &ControlCheck) -> String {
        let amount = |value: i128| match check.currency {
            Some(currency) => format!("{currency} {}", self.amount(currency, value)),
            None => value.to_string(),
        };
        let stated = check.stated.map_or_else(|| "?".to_owned(), amount);
        let [says, found] = self.language.pick(["the file states", "its rows give"], ["声明", "实际"]);
        format!("{}: {says} {stated}, {found} {}", check.name, amount(check.found))
    }

    /// One table per currency: what came out, by type.
    fn currencies(&self) -> Vec<Vec<String>> {
        let types = &self.summary.types;
        let mut currencies: Vec<Currency> =
            types.values().flat_map(|totals| totals.rows.keys().copied()).collect();
        currencies.sort_unstable();
        currencies.dedup();
        currencies.into_iter().map(|currency| self.currency(currency)).collect()
    }

    fn currency(&self, currency: Currency) -> Vec<String> {
        let pick = |english: &str, chinese: &str| self.language.pick(english, chinese).to_owned();
        let mut rows = vec![vec![
            currency.to_string(),
            pick("platform", "平台笔数"),
            pick("amount", "平台金额"),
            pick("channel", "渠道笔数"),
            pick("amount", "渠道金额"),
        ]];
        for diff_type in DiffType::ALL {
            let totals = self.summary.of(diff_type);
            let Some(counts) = totals.rows.get(&currency) else { continue };
            let amount = |amounts: &ByCurrency<i128>| {
                amounts.get(&currency).map(|amount| self.amount(currency, *amount)).unwrap_or_default()
            };
            let count = |count: u64| if count == 0 { String::new() } else { count.to_string() };
            rows.push(vec![
                self.language.diff_type(diff_type).to_owned(),
                count(counts.platform),
                amount(&totals.platform_amounts),
                count(counts.channel),
                amount(&totals.channel_amounts),
            ]);
        }
        align(&rows, &[Left, Right, Right, Right, Right])
    }

    /// The channel's own movements, which nobody books one by one.
    fn not_booked(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for (side, file) in self.sides() {
            for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_booked_by_platform()) {
                for (currency, totals) in file.kinds.get(&kind).into_iter().flatten() {
                    rows.push(self.not_booked_row(side, kind, *currency, totals));
                }
            }
        }
        if rows.is_empty() {
            return Vec::new();
        }
        let pick = |english: &str, chinese: &str| self.language.pick(english, chinese).to_owned();
        let title = pick("not booked row by row", "不逐笔入账");
        let header = [title, String::new(), pick("rows", "行数"), pick("gross", "总额"), pick("net", "净额")];
        rows.insert(0, header.to_vec());
        align(&rows, &[Left, Left, Right, Right, Right])
    }

    fn not_booked_row(
        &self,
        side: Side,
        kind: Kind,
        currency: Currency,
        totals: &MoneyTotals,
    ) -> Vec<String> {
        vec![
            format!("{} {}", self.language.side(side), self.language.kind(kind)),
            currency.to_string(),
            totals.rows.to_string(),
            self.amount(currency, totals.gross),
            self.amount(currency, totals.net),
        ]
    }

    /// Match rate, adjustments, what the channel took though it failed here, tie and payouts.
    fn proofs(&self) -> Vec<String> {
        let mut rows = Vec::new();
        let mut row = |name: &str, text: String| rows.push(vec![name.to_owned(), text]);
        let language = self.language;
        row(
            language.pick("match rate", "匹配率"),
            match &self.summary.match_rate {
                Some(rate) => {
                    let (whole, rest) = (rate.ten_thousandths / 100, rate.ten_thousandths % 100);
                    format!("{whole}.{rest:02}% ({} / {})", rate.matched, rate.compared)
                }
                None => language.pick("nothing was compared", "没有可比对的记录").to_owned(),
            },
        );
        for (rule, currencies) in &self.summary.adjustments {
            for (currency, totals) in currencies {
                let amount = self.amount(*currency, totals.amount);
                let text = format!("{amount} {currency} ({}: {rule})", totals.count);
                row(language.pick("adjustment", "容差调整"), text);
            }
        }
        for (currency, amount) in &self.summary.money_at_risk {
            let text = format!("{} {currency}", self.amount(*currency, *amount));
            row(language.pick("taken, not paid here", "渠道已收、我方未成功"), text);
        }
        let tie = &self.summary.tie;
        if tie.currencies.is_empty() {
            row(language.pick("balance tie", "余额核对"), language.proof(tie.proof).to_owned());
        }
        for (currency, tie) in &tie.currencies {
            row(language.pick("balance tie", "余额核对"), self.tie(*currency, tie));
        }
        let payouts = &tie.payouts;
        if payouts.proven + payouts.failed > 0 {
            let words = language.pick(["tie", "do not"], ["相符", "不符"]);
            let text = format!("{} {}, {} {}", payouts.proven, words[0], payouts.failed, words[1]);
            row(language.pick("payouts", "打款"), text);
        }
        align(&rows, &[Left, Left])
    }

    fn tie(&self, currency: Currency, tie: &CurrencyTie) -> String {
        let proof = if tie.holds() { Proof::Proven } else { Proof::Failed };
        let verdict = self.language.proof(proof);
        let rows = self.amount(currency, tie.itemized_activity);
        let Some(StatedBalance { opening, activity, payouts, ending }) = tie.stated else {
            let missing =
                self.language.pick("the summary leaves it out, the rows have", "汇总中没有，明细合计");
            return format!("{currency} {verdict}: {missing} {rows}");
        };
        let [opening, activity, payouts, ending] =
            [opening, activity, payouts, ending].map(|amount| self.amount(currency, amount));
        let words = self.language.pick(
            ["opening", "activity", "payouts", "ending", "rows"],
            ["期初", "发生", "打款", "期末", "明细"],
        );
        let equal = |holds: bool| if holds { "=" } else { "≠" };
        format!(
            "{currency} {verdict}: {} {opening} + {} {activity} + {} {payouts} {} {} {ending}; {} {rows} {} {} {activity}",
            words[0],
            words[1],
            words[2],
            equal(tie.balances),
            words[3],
            words[4],
            equal(tie.activity_ties),
            words[1],
        )
    }

    /// What could not be read, with line and column.
    fn rejects(&self) -> Vec<String> {
        let summary = (self.language.pick("summary", "余额汇总"), &self.summary.tie.rejects);
        let files = self.sides().map(|(side, file)| (self.language.side(side), &file.rejects));
        let bank = self.summary.payouts.as_ref();
        let bank = bank.map(|payouts| (self.language.pick("bank", "银行"), &payouts.bank.rejects));
        let mut lines = Vec::new();
        for (name, rejects) in
            files.into_iter().chain([summary]).chain(bank).filter(|(_, rejects)| rejects.count > 0)
        {
            lines.push(format!("{} ({name}): {}", self.language.pick("rejects", "拒收"), rejects.count));
            let shown = rejects.first.iter().take(SHOWN_REJECTS);
            lines.extend(shown.map(|reject| format!("  {}", self.language.reject(reject))));
            let more = rejects.count.saturating_sub(SHOWN_REJECTS as u64);
            if more > 0 {
                lines.push(format!("  {} {more}", self.language.pick("and more:", "其余：")));
            }
        }
        for (side, file) in self.sides().into_iter().filter(|(_, file)| file.unbalanced.rows > 0) {
            let words = self.language.pick("gross - fee is not net in line", "总额 - 手续费不等于净额，行");
            let numbers: Vec<String> = file.unbalanced.first_lines.iter().map(u64::to_string).collect();
            lines.push(format!("{}: {words} {}", self.language.side(side), numbers.join(", ")));
        }
        lines
    }

    fn verdict(&self) -> Vec<String> {
        let verdict = self.language.verdict(self.summary.verdict);
        let mut lines = vec![format!("{}: {verdict}", self.language.pick("verdict", "结论"))];
        lines
            .extend(self.summary.reasons.iter().map(|reason| format!("  {}", self.language.reason(*reason))));
        if self.summary.verdict == Verdict::Reconciled
            && self.summary.platform.rows + self.summary.channel.rows == 0
        {
            lines.push(format!("  {}", self.language.pick("neither file has a row", "两个文件均无数据")));
        }
        lines
    }

    fn sides(&self) -> [(Side, &SideSummary); 2] {
        [(Side::Platform, &self.summary.platform), (Side::Channel, &self.summary.channel)]
    }

    fn path(&self, side: Side) -> &Path {
        match side {
            Side::Platform => &self.args.platform,
            Side::Channel => &self.args.settlement,
        }
    }

    /// An amount in major units.
    fn amount(&self, currency: Currency, minor: i128) -> String {
        major(minor, self.exponents.of(currency))
    }
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}
use Align::{Left, Right};

/// Lines up the cells of each column, two blanks apart.
fn align(rows: &[Vec<String>], columns: &[Align]) -> Vec<String> {
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max();
    let widths: Vec<usize> = (0..columns.len()).map(|column| widest(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(columns).zip(&widths).map(|((cell, align), full)| {
            let blanks = " ".repeat(full.saturating_sub(width(cell)));
            match align {
                Left => format!("{cell}{blanks}"),
                Right => format!("{blanks}{cell}"),
            }
        });
        cells.collect::<Vec<String>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The columns a text takes on a terminal: Chinese characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|letter| if ('\u{2e80}'..'\u{fffd}').contains(&letter) { 2 } else { 1 }).sum()
}
