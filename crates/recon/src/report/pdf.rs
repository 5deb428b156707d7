//! The report as a PDF: verdict, charts, totals, proofs, the first differences, and the certificate.

use payops_channels::row::{Kind, Proof};
use payops_core::currency::Currency;
use payops_platform::error::Language;
use payops_typeset::{Align, Cell, Column, Ink, Properties, Table, Typesetter, WIDTH};
use serde_json::Value;

use super::charts::{self, Part};
use super::cover::{Cover, Line, LineSide, Total, Work, count};
use super::facts::certificate;
use crate::engine::{CurrencyTie, DiffType, Rejects};
use crate::model::RecordStatus;

/// How many differences are shown one by one.
pub const SHOWN_DIFFERENCES: u64 = 200;
/// How many rejects of a file are shown.
const SHOWN_REJECTS: usize = 20;

const TITLE: f32 = 18.0;
const HEADING: f32 = 13.0;
const BODY: f32 = 10.0;
const SMALL: f32 = 8.0;
const TINY: f32 = 7.0;
const LABEL_WIDTH: f32 = 120.0;
/// At most as high as a chart with its heading.
const CHART: f32 = 190.0;

const GREEN: Ink = Ink(76, 159, 96);
const LIME: Ink = Ink(167, 206, 122);
const RED: Ink = Ink(205, 84, 74);
const AMBER: Ink = Ink(232, 174, 71);
const GREY: Ink = Ink(188, 188, 188);

/// A report that is being set.
pub struct PdfReport<'a> {
    cover: &'a Cover,
    page: Typesetter,
    shown: u64,
}

impl<'a> PdfReport<'a> {
    /// Sets all that comes before the differences.
    pub fn begin(cover: &'a Cover) -> Result<Self, String> {
        let mut page = Typesetter::new().ok_or("the font that is built in cannot be read")?;
        page.describe(Properties {
            title: cover.title(),
            language: cover.language_tag(),
            created_at: cover.completed_at,
        });
        let mut report = Self { cover, page, shown: 0 };
        report.head();
        report.charts();
        report.totals();
        report.not_booked();
        report.adjustments();
        report.proofs();
        report.tie();
        report.three_way();
        report.rejects();
        report.differences_head();
        Ok(report)
    }

    /// Shows a row, if it is one of the first differences.
    pub fn row(&mut self, line: &Line<'_>) {
        if self.wants_more() && line.is_difference() {
            self.shown += 1;
            self.difference(line);
        }
    }

    /// Whether another difference would be shown.
    pub fn wants_more(&self) -> bool {
        self.shown < SHOWN_DIFFERENCES.min(self.cover.differences())
    }

    /// Ends with where the rest is and what the run can be checked by.
    pub fn finish(mut self, stated: &Value) -> Result<Vec<u8>, String> {
        let all = self.cover.differences();
        if all > self.shown {
            let (shown, all, rest) = (count(self.shown), count(all), &self.cover.rest);
            let text = match self.cover.words.0 {
                Language::English => format!("These are the first {shown} of {all} differences. {rest}"),
                Language::Chinese => format!("以上为全部 {all} 笔差异中的前 {shown} 笔。{rest}"),
            };
            self.page.space(SMALL / 2.0);
            self.page.paragraph(&text, SMALL);
        }
        self.heading("Certificate", "对账证书");
        let text = self.cover.words.pick(
            "Whoever has these files can run the same rules again and compare the hash of the output.",
            "持有这些文件者可按同样的规则重新运行，并比对输出的哈希值。",
        );
        self.page.paragraph(text, SMALL);
        self.page.space(SMALL / 2.0);
        for (label, value) in certificate(self.cover.words, stated) {
            self.labelled(&label, &value, SMALL);
        }
        Ok(self.page.finish(0)?.bytes)
    }

    fn pick<T>(&self, english: T, chinese: T) -> T {
        self.cover.words.pick(english, chinese)
    }

    fn heading(&mut self, english: &str, chinese: &str) {
        self.page.space(HEADING);
        // A heading at the foot of a page has nothing below it.
        self.page.keep(HEADING * 5.0);
        let text = self.pick(english, chinese);
        self.page.paragraph(text, HEADING);
        self.page.space(SMALL / 2.0);
    }

    fn labelled(&mut self, label: &str, value: &str, size: f32) {
        let label = Cell::new(0.0, LABEL_WIDTH - BODY, label);
        self.page.row(&[label, Cell::new(LABEL_WIDTH, WIDTH - LABEL_WIDTH, value)], size);
    }

    fn head(&mut self) {
        let title = self.cover.title();
        self.page.paragraph(&title, TITLE);
        self.page.space(BODY);
        for (label, value) in self.cover.facts() {
            self.labelled(label, &value, BODY);
        }
        for reason in &self.cover.summary.reasons {
            let reason = self.cover.words.reason(*reason);
            self.labelled("", &reason, BODY);
        }
    }

    fn charts(&mut self) {
        let (summary, words) = (&self.cover.summary, self.cover.words);
        self.page.keep(CHART);
        self.heading("Outcomes", "对账结果");
        let outcomes = [
            (words.diff_type(DiffType::Matched), summary.of(DiffType::Matched).count, GREEN),
            (words.diff_type(DiffType::WithinTolerance), summary.of(DiffType::WithinTolerance).count, LIME),
            (words.diff_type(DiffType::Carried), summary.of(DiffType::Carried).count, LIME),
            (words.diff_type(DiffType::Netted), summary.of(DiffType::Netted).count, LIME),
            (self.pick("differences", "差异"), summary.differences(), RED),
            (words.diff_type(DiffType::Timing), summary.of(DiffType::Timing).count, AMBER),
            (words.diff_type(DiffType::NotExpected), summary.of(DiffType::NotExpected).count, GREY),
        ];
        charts::shares(&mut self.page, &parts(&outcomes));
        let differences = DiffType::ALL.into_iter().filter(|diff_type| diff_type.is_difference());
        let differences =
            differences.map(|diff_type| (words.diff_type(diff_type), summary.of(diff_type).count, RED));
        let differences: Vec<_> = differences.filter(|(_, count, _)| *count > 0).collect();
        if !differences.is_empty() {
            self.page.keep(CHART);
            self.heading("Differences by type", "各类差异笔数");
            charts::bars(&mut self.page, &parts(&differences));
        }
        if self.cover.work.iter().any(|(_, count)| *count > 0) {
            self.page.keep(CHART);
            self.heading("Work on the differences", "差异处理进度");
            let work = self.cover.work.iter().map(|(status, count)| {
                let ink = match status {
                    RecordStatus::Open => RED,
                    RecordStatus::Assigned => AMBER,
                    RecordStatus::Resolved => GREEN,
                    RecordStatus::Ignored => GREY,
                };
                (words.record_status(*status), *count, ink)
            });
            let work: Vec<_> = work.collect();
            charts::shares(&mut self.page, &parts(&work));
        }
    }

    /// One table per currency: what came out, by type.
    fn totals(&mut self) {
        self.heading("Totals per currency and type", "分币种、分类型合计");
        let currencies = self.cover.currencies();
        if currencies.is_empty() {
            let text = self.pick("Neither file has a row to compare.", "两个文件均没有可比对的数据。");
            self.page.paragraph(text, BODY);
        }
        for currency in currencies {
            self.totals_of(currency);
        }
    }

    fn totals_of(&mut self, currency: Currency) {
        let words = self.cover.words;
        let head = words.pick(
            ["platform rows", "platform amount", "channel rows", "channel amount", "channel less platform"],
            ["平台笔数", "平台金额", "渠道笔数", "渠道金额", "渠道减平台"],
        );
        let head: Vec<&str> = [currency.as_str()].into_iter().chain(head).collect();
        let columns = columns([113.0, 56.0, 84.0, 56.0, 84.0, 90.0], 1);
        let table = Table { columns: &columns, head: &head, size: SMALL };
        self.page.space(SMALL / 2.0);
        self.page.table_head(&table);
        let counted = DiffType::ALL.into_iter().filter(|diff_type| diff_type.is_counted());
        for diff_type in counted {
            if let Some(total) = self.cover.total(diff_type, currency) {
                self.total_row(&table, words.diff_type(diff_type), currency, total);
            }
        }
        self.total_row(&table, words.pick("all", "合计"), currency, self.cover.all(currency));
        if let Some(total) = self.cover.total(DiffType::NotExpected, currency) {
            let name = words.pick("not_expected, not in all", "无需入账（不计入合计）");
            self.total_row(&table, name, currency, total);
        }
    }

    fn total_row(&mut self, table: &Table<'_>, name: &str, currency: Currency, total: Total) {
        let money = |minor| self.cover.money(currency, minor);
        let side = |rows: u64, minor| if rows == 0 { String::new() } else { money(minor) };
        let texts = [
            name.to_owned(),
            count(total.rows.platform),
            side(total.rows.platform, total.platform),
            count(total.rows.channel),
            side(total.rows.channel, total.channel),
            money(total.channel - total.platform),
        ];
        self.table_row(table, &texts);
    }

    fn table_row(&mut self, table: &Table<'_>, texts: &[String]) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.page.table_row(table, &texts);
    }

    /// The channel's own movements, which nobody books one by one.
    fn not_booked(&mut self) {
        let mut rows = Vec::new();
        for (side, file) in self.cover.sides() {
            for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_booked_by_platform()) {
                for (currency, totals) in file.kinds.get(&kind).into_iter().flatten() {
                    rows.push([
                        format!("{} {}", self.cover.words.side(side), self.cover.words.kind(kind)),
                        currency.to_string(),
                        count(totals.rows),
                        self.cover.money(*currency, totals.gross),
                        self.cover.money(*currency, totals.fee),
                        self.cover.money(*currency, totals.net),
                    ]);
                }
            }
        }
        if rows.is_empty() {
            return;
        }
        self.heading("Not booked row by row", "不逐笔入账的资金变动");
        let head = self.pick(
            ["", "currency", "rows", "gross", "fee", "net"],
            ["", "币种", "笔数", "总额", "手续费", "净额"],
        );
        let columns = columns([143.0, 50.0, 50.0, 80.0, 80.0, 80.0], 2);
        let table = Table { columns: &columns, head: &head, size: SMALL };
        self.page.table_head(&table);
        for row in &rows {
            self.table_row(&table, row);
        }
    }

    fn adjustments(&mut self) {
        let (cover, words) = (self.cover, self.cover.words);
        let mut rows = Vec::new();
        for (rule, currencies) in &cover.summary.adjustments {
            for (currency, totals) in currencies {
                let name = format!("{}: {rule}", words.pick("adjustment", "容差调整"));
                let money = cover.money(*currency, totals.amount);
                rows.push([name, currency.to_string(), count(totals.count), money]);
            }
        }
        for (currency, amount) in &cover.summary.money_at_risk {
            let name = words.pick("taken, not paid here", "渠道已收、我方未成功").to_owned();
            rows.push([name, currency.to_string(), String::new(), cover.money(*currency, *amount)]);
        }
        if rows.is_empty() {
            return;
        }
        self.heading(
            "Adjustments, and what was taken though not paid here",
            "容差调整与渠道已收而我方未成功的金额",
        );
        let head = self.pick(["", "currency", "rows", "amount"], ["", "币种", "笔数", "金额"]);
        let columns = columns([263.0, 50.0, 60.0, 110.0], 2);
        let table = Table { columns: &columns, head: &head, size: SMALL };
        self.page.table_head(&table);
        for row in &rows {
            self.table_row(&table, row);
        }
    }

    /// Each file as a whole, and what its own totals say.
    fn proofs(&mut self) {
        self.heading("Files and control totals", "文件与控制总数");
        let head = self.pick(
            ["file", "rows", "other days", "rejects", "unbalanced", "control totals"],
            ["文件", "行数", "其他日期", "拒收", "收支不平", "控制总数"],
        );
        let columns = columns([93.0, 70.0, 70.0, 70.0, 70.0, 110.0], 1);
        let table = Table { columns: &columns, head: &head, size: SMALL };
        self.page.table_head(&table);
        for (side, file) in self.cover.sides() {
            let texts = [
                self.cover.words.side(side).to_owned(),
                count(file.rows),
                count(file.rows_outside_window),
                count(file.rejects.count),
                count(file.unbalanced.rows),
                self.cover.words.proof(file.control.proof).to_owned(),
            ];
            self.table_row(&table, &texts);
        }
        for (side, file) in self.cover.sides() {
            for check in file.control.checks.iter().filter(|check| !check.holds()) {
                let text = self.cover.failed_check(side, check);
                self.page.paragraph(&text, SMALL);
            }
        }
    }

    /// Whether the channel's balance moved by what its rows say.
    fn tie(&mut self) {
        let cover = self.cover;
        self.heading("Balance tie", "余额核对");
        let text = match (cover.summary.tie.proof, self.cover.words.0) {
            (Proof::Proven, Language::English) => {
                "Proven: opening + activity + payouts = ending in every currency, and the rows add up to the activity."
            }
            (Proof::Proven, Language::Chinese) => {
                "已证实：每个币种均满足 期初 + 发生 + 打款 = 期末，且明细合计等于发生额。"
            }
            (Proof::Failed, Language::English) => {
                "FAILED: the balance summary contradicts itself or the rows, or could not be read in full."
            }
            (Proof::Failed, Language::Chinese) => "不符：余额汇总自相矛盾、与明细不符，或未能完整读取。",
            (Proof::NotProvable, Language::English) => {
                "NOT PROVABLE: without a balance summary of the channel nothing shows that its file is complete."
            }
            (Proof::NotProvable, Language::Chinese) => "无法证明：没有渠道的余额汇总，无从证明渠道文件完整。",
        };
        self.page.paragraph(text, SMALL);
        let payouts = &cover.summary.tie.payouts;
        if payouts.proven + payouts.failed > 0 {
            let (holds, fails) = (count(payouts.proven), count(payouts.failed));
            let text = match cover.words.0 {
                Language::English => {
                    format!("Payouts that are what their rows add up to: {holds}; that are not: {fails}.")
                }
                Language::Chinese => format!("与明细之和相符的打款：{holds} 笔；不符：{fails} 笔。"),
            };
            self.page.paragraph(&text, SMALL);
        }
        if cover.summary.tie.currencies.is_empty() {
            return;
        }
        let head = self.pick(
            ["", "opening", "activity", "payouts", "ending", "rows", ""],
            ["", "期初", "发生", "打款", "期末", "明细合计", ""],
        );
        let columns = columns([33.0, 78.0, 78.0, 78.0, 78.0, 78.0, 60.0], 1);
        let table = Table { columns: &columns, head: &head, size: TINY };
        self.page.space(SMALL / 2.0);
        self.page.table_head(&table);
        for (currency, tie) in &cover.summary.tie.currencies {
            let texts = self.tie_row(*currency, tie);
            self.table_row(&table, &texts);
        }
    }

    fn tie_row(&self, currency: Currency, tie: &CurrencyTie) -> [String; 7] {
        let money = |minor| self.cover.money(currency, minor);
        let absent = || "-".to_owned();
        let [opening, activity, payouts, ending] = tie.stated.map_or_else(
            || [absent(), absent(), absent(), absent()],
            |stated| [stated.opening, stated.activity, stated.payouts, stated.ending].map(money),
        );
        let proof = if tie.holds() { Proof::Proven } else { Proof::Failed };
        let proof = self.cover.words.proof(proof).to_owned();
        [currency.to_string(), opening, activity, payouts, ending, money(tie.itemized_activity), proof]
    }

    /// Whether rows, payouts and what arrived at the bank are the same money.
    fn three_way(&mut self) {
        let cover = self.cover;
        let Some(payouts) = &cover.summary.payouts else { return };
        self.heading("Rows, payouts and the bank", "明细、打款与银行入账");
        let bank = &payouts.bank;
        let days = bank.days.map_or_else(String::new, |days| format!(", {} - {}", days.first, days.last));
        let [entries, name] = self.pick(["entries", "bank statement"], ["笔", "银行对账单"]);
        let (three_way, proof) = (cover.words.three_way(payouts.proof), cover.words.proof(bank.proof));
        let text = format!("{three_way}; {name}: {} {entries}{days}, {proof}", count(bank.entries));
        self.page.paragraph(&text, SMALL);
        if payouts.currencies.is_empty() {
            return;
        }
        let head: Vec<&str> = [""].into_iter().chain(cover.three_way_heads()).chain([""]).collect();
        let columns = columns([25.0, 52.0, 52.0, 52.0, 50.0, 50.0, 50.0, 50.0, 50.0, 52.0], 1);
        let table = Table { columns: &columns, head: &head, size: TINY };
        self.page.table_head(&table);
        for (currency, tie) in &payouts.currencies {
            let amounts = Cover::three_way_amounts(tie).map(|minor| cover.money(*currency, minor));
            let proof = cover.words.three_way(tie.proof).to_owned();
            let texts: Vec<String> =
                [currency.to_string()].into_iter().chain(amounts).chain([proof]).collect();
            self.table_row(&table, &texts);
        }
        for (currency, tie) in &payouts.currencies {
            if let Some(told) = cover.words.named_payouts(tie, |minor| cover.money(*currency, minor)) {
                self.page.paragraph(&format!("{currency}: {told}"), SMALL);
            }
        }
    }

    /// What could not be read, with line and column.
    fn rejects(&mut self) {
        let cover = self.cover;
        let files = cover.rejects();
        if files.is_empty() {
            return;
        }
        self.heading("Rejects", "无法读取的内容");
        for (name, rejects) in files {
            self.rejects_of(name, rejects);
        }
    }

    fn rejects_of(&mut self, name: &str, rejects: &Rejects) {
        let shown: Vec<_> = rejects.first.iter().take(SHOWN_REJECTS).collect();
        let (all, first) = (count(rejects.count), shown.len());
        let text = match self.cover.words.0 {
            Language::English => format!("{name}: {all} in all, the first {first} are"),
            Language::Chinese => format!("{name}：共 {all} 处，前 {first} 处为"),
        };
        self.page.paragraph(&text, SMALL);
        for reject in shown {
            let text = self.cover.words.reject(reject);
            self.page.row(&[Cell::new(10.0, WIDTH - 10.0, &text)], TINY);
        }
    }

    fn differences_head(&mut self) {
        self.heading("Differences", "差异明细");
        if self.cover.differences() == 0 {
            let text = self.pick("There are none.", "没有差异。");
            self.page.paragraph(text, BODY);
            return;
        }
        let head = self.difference_head();
        let columns = difference_columns();
        self.page.table_head(&Table { columns: &columns, head: &head, size: TINY });
    }

    fn difference_head(&self) -> [&'static str; 7] {
        self.pick(
            ["", "type", "ids, merchant, time", "platform", "channel", "channel less platform", "work"],
            ["", "类型", "编号、商户、时间", "平台", "渠道", "渠道减平台", "处理"],
        )
    }

    fn difference(&mut self, line: &Line<'_>) {
        let words = self.cover.words;
        let ids = [&line.channel_trade_no, &line.payment_no, &line.channel_row_id, &line.payout_id];
        let about = ids.into_iter().chain([&line.merchant_id, &line.occurred_at]);
        let texts = [
            self.shown.to_string(),
            below_each_other([words.named_diff_type(&line.diff_type), words.named_kind(&line.kind)]),
            below_each_other(about.map(AsRef::as_ref)),
            self.side(&line.platform),
            self.side(&line.channel),
            line.gap().map_or_else(String::new, |(minor, currency)| self.cover.money(currency, minor)),
            line.work.as_ref().map_or_else(String::new, |work| self.work(work)),
        ];
        let head = self.difference_head();
        let columns = difference_columns();
        self.table_row(&Table { columns: &columns, head: &head, size: TINY }, &texts);
    }

    fn work(&self, work: &Work<'_>) -> String {
        let words = self.cover.words;
        let reason = work.reason.map_or("", |reason| words.reason_code(reason));
        let at = work.resolved_at.map_or_else(String::new, |at| at.format("%Y-%m-%d").to_string());
        let person = if work.resolved_by.is_empty() { work.assigned_to } else { work.resolved_by };
        below_each_other([words.record_status(work.status), reason, person, &at, work.note])
    }

    fn side(&self, side: &LineSide<'_>) -> String {
        let Some((minor, currency)) = side.money else { return String::new() };
        let money = format!("{} {currency}", self.cover.money(currency, minor));
        let line = side.line.map(|line| format!("{} {line}", self.pick("line", "行"))).unwrap_or_default();
        below_each_other([money.as_str(), side.status.as_ref(), line.as_str()])
    }
}

fn parts<'a>(counts: &[(&'a str, u64, Ink)]) -> Vec<Part<'a>> {
    counts.iter().map(|(label, count, ink)| Part { label, count: *count, ink: *ink }).collect()
}

/// The texts that say something, each on a line of its own.
fn below_each_other<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    texts.join("\n")
}

/// Columns of these widths beside each other, with a gap before each number; the first `texts` are no numbers.
fn columns<const N: usize>(widths: [f32; N], texts: usize) -> [Column; N] {
    const GAP: f32 = 4.0;
    let mut left = 0.0;
    let mut index = 0;
    widths.map(|width| {
        let column = if index < texts {
            Column { left, width: width - GAP, align: Align::Left }
        } else {
            Column { left: left + GAP, width: width - GAP, align: Align::Right }
        };
        left += width;
        index += 1;
        column
    })
}

fn difference_columns() -> [Column; 7] {
    columns([22.0, 66.0, 150.0, 74.0, 74.0, 47.0, 50.0], 7)
}
