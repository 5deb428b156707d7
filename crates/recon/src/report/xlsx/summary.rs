//! The sheet of figures. Its checks are 0 where the rows of the workbook give the same.

use std::collections::BTreeMap;

use payops_channels::row::{Kind, Proof};
use payops_core::currency::Currency;
use rust_xlsxwriter::XlsxError;

use super::sheet::{Sheet, cell, is_exact};
use super::{CHANNEL, Listed, ListedSide, PLATFORM, SideColumns, TYPE, XlsxReport};
use crate::engine::{CurrencyTie, DiffType, Side};
use crate::report::cover::{Cover, Total};

/// The columns of the table of totals.
mod column {
    pub(super) const TYPE: u16 = 0;
    pub(super) const CURRENCY: u16 = 1;
    pub(super) const PLATFORM_ROWS: u16 = 2;
    pub(super) const PLATFORM_AMOUNT: u16 = 3;
    pub(super) const PLATFORM_MINOR: u16 = 4;
    pub(super) const CHANNEL_ROWS: u16 = 5;
    pub(super) const CHANNEL_AMOUNT: u16 = 6;
    pub(super) const CHANNEL_MINOR: u16 = 7;
    pub(super) const GAP: u16 = 8;
    /// The same four figures counted and added up from the rows.
    pub(super) const LISTED: u16 = 9;
    pub(super) const CHECK: u16 = 13;
    /// The checks of the tie of balances.
    pub(super) const TIE_CHECKS: [u16; 2] = [6, 7];
}

/// Where the next row goes, and what was checked so far.
struct Writer<'a, 'b> {
    cover: &'a Cover,
    sheet: Sheet<'b>,
    row: u32,
    /// The ranges that checks stand in.
    checks: Vec<String>,
    /// What they add up to.
    off: i128,
    /// Whether one of them is beyond what spreadsheets compute with.
    is_beyond_exact: bool,
}

impl XlsxReport<'_> {
    pub(super) fn write_summary(&mut self) -> Result<(), XlsxError> {
        let names: Vec<(String, u32)> =
            (0..).map(|index| self.rows_sheet_name(index)).zip(self.sheets.iter().copied()).collect();
        let sheet = self.book.worksheet_from_index(0)?;
        sheet.set_column_width(0, 30)?;
        for column in 1..=column::CHECK {
            sheet.set_column_width(column, 17)?;
        }
        let sheet = Sheet { sheet, formats: &self.formats };
        let mut writer =
            Writer { cover: self.cover, sheet, row: 0, checks: Vec::new(), off: 0, is_beyond_exact: false };
        writer.head()?;
        // Filled in when all checks are known.
        let checked_at = writer.row;
        writer.row += 2;
        writer.totals(&names, &self.listed)?;
        writer.tie()?;
        writer.three_way()?;
        writer.files()?;
        writer.not_booked()?;
        writer.adjustments()?;
        writer.rejects()?;
        writer.sum_of_checks(checked_at)
    }
}

impl Writer<'_, '_> {
    fn pick<T>(&self, english: T, chinese: T) -> T {
        self.cover.words.pick(english, chinese)
    }

    fn beyond_exact(&self) -> &'static str {
        self.pick("beyond exact numbers", "超出精确计算范围")
    }

    fn head(&mut self) -> Result<(), XlsxError> {
        let title = self.cover.title();
        self.sheet.sheet.write_string_with_format(0, 0, title, &self.sheet.formats.title)?;
        self.row = 1;
        let facts = self.cover.facts();
        for (label, value) in facts.iter().map(|(label, value)| (*label, value.as_str())) {
            self.texts(&[label, value])?;
        }
        for reason in &self.cover.summary.reasons {
            let reason = self.cover.words.reason(*reason);
            self.texts(&["", &reason])?;
        }
        Ok(())
    }

    /// A row of texts.
    fn texts(&mut self, texts: &[&str]) -> Result<(), XlsxError> {
        for (column, text) in (0_u16..).zip(texts) {
            self.sheet.text(self.row, column, text)?;
        }
        self.row += 1;
        Ok(())
    }

    /// The head of a table, below an empty row.
    fn heads(&mut self, texts: &[&str]) -> Result<(), XlsxError> {
        self.row += 1;
        for (column, text) in (0_u16..).zip(texts) {
            self.sheet.head(self.row, column, text)?;
        }
        self.row += 1;
        Ok(())
    }

    fn sum_of_checks(&mut self, row: u32) -> Result<(), XlsxError> {
        let label = self.pick("Sum of all checks (0: everything ties)", "全部核对之和（0 表示相符）");
        self.sheet.text(row, 0, label)?;
        let parts: Vec<String> =
            self.checks.iter().map(|range| format!("SUMIF({range},\">0\")-SUMIF({range},\"<0\")")).collect();
        let formula = if parts.is_empty() { "=0".to_owned() } else { format!("={}", parts.join("+")) };
        if self.is_beyond_exact {
            // What is not checked is no tie.
            return self.sheet.text(row, 1, self.beyond_exact());
        }
        let result = self.off.to_string();
        self.sheet.formula(row, 1, &formula, &result, &self.sheet.formats.check)
    }

    fn totals(
        &mut self,
        sheets: &[(String, u32)],
        listed: &BTreeMap<(String, Currency), Listed>,
    ) -> Result<(), XlsxError> {
        let heads = totals_heads(self.cover);
        self.heads(&heads)?;
        let first = self.row;
        for currency in self.cover.currencies() {
            let begins = self.row;
            for diff_type in DiffType::ALL.into_iter().filter(|diff_type| diff_type.is_counted()) {
                self.total(diff_type, currency, sheets, listed)?;
            }
            self.all(currency, begins)?;
            self.total(DiffType::NotExpected, currency, sheets, listed)?;
        }
        if self.row > first {
            let range = format!("{}:{}", cell(first, column::CHECK), cell(self.row - 1, column::CHECK));
            self.checks.push(range);
        }
        Ok(())
    }

    fn total(
        &mut self,
        diff_type: DiffType,
        currency: Currency,
        sheets: &[(String, u32)],
        listed: &BTreeMap<(String, Currency), Listed>,
    ) -> Result<(), XlsxError> {
        let Some(total) = self.cover.total(diff_type, currency) else { return Ok(()) };
        let name = self.cover.words.diff_type(diff_type);
        let row = self.row;
        self.sheet.text(row, column::TYPE, name)?;
        self.sheet.text(row, column::CURRENCY, currency.as_str())?;
        self.figures(currency, total)?;
        let found = listed.get(&(name.to_owned(), currency)).copied();
        // Matched rows are stored only where a task asks for them.
        if diff_type.is_listed() || found.is_some() {
            self.check(total, found.unwrap_or_default(), sheets)?;
        } else {
            let text = self.pick("not listed row by row", "不逐笔列出");
            self.sheet.text(row, column::LISTED, text)?;
        }
        self.row += 1;
        Ok(())
    }

    fn figures(&mut self, currency: Currency, total: Total) -> Result<(), XlsxError> {
        let decimals = self.cover.exponents.of(currency);
        let row = self.row;
        self.sheet.count(row, column::PLATFORM_ROWS, total.rows.platform)?;
        self.sheet.major(row, column::PLATFORM_AMOUNT, total.platform, decimals)?;
        self.sheet.minor(row, column::PLATFORM_MINOR, total.platform)?;
        self.sheet.count(row, column::CHANNEL_ROWS, total.rows.channel)?;
        self.sheet.major(row, column::CHANNEL_AMOUNT, total.channel, decimals)?;
        self.sheet.minor(row, column::CHANNEL_MINOR, total.channel)?;
        self.sheet.major(row, column::GAP, total.channel - total.platform, decimals)
    }

    /// What the rows give, by formulas, and how far that is from the totals.
    fn check(&mut self, total: Total, found: Listed, sheets: &[(String, u32)]) -> Result<(), XlsxError> {
        let row = self.row;
        let mut exact = is_exact(total.platform) && is_exact(total.channel);
        for (at, (side, columns)) in
            [(found.platform, PLATFORM), (found.channel, CHANNEL)].into_iter().enumerate()
        {
            exact &= !side.inexact && is_exact(side.minor);
            let at = column::LISTED + if at == 0 { 0 } else { 2 };
            self.found(row, at, side, columns, sheets)?;
        }
        if !exact {
            self.is_beyond_exact = true;
            return self.sheet.text(row, column::CHECK, self.beyond_exact());
        }
        let stated =
            [column::PLATFORM_ROWS, column::PLATFORM_MINOR, column::CHANNEL_ROWS, column::CHANNEL_MINOR];
        let parts = (column::LISTED..).zip(stated);
        let parts: Vec<String> = parts
            .map(|(listed, stated)| format!("ABS({}-{})", cell(row, stated), cell(row, listed)))
            .collect();
        let off = u64::abs_diff(total.rows.platform, found.platform.rows)
            + u64::abs_diff(total.rows.channel, found.channel.rows);
        let off = i128::from(off)
            + (total.platform - found.platform.minor).abs()
            + (total.channel - found.channel.minor).abs();
        self.off += off;
        let formula = format!("={}", parts.join("+"));
        self.sheet.formula(row, column::CHECK, &formula, &off.to_string(), &self.sheet.formats.check)
    }

    /// The count and the sum of one side's rows.
    fn found(
        &mut self,
        row: u32,
        at: u16,
        side: ListedSide,
        columns: SideColumns,
        sheets: &[(String, u32)],
    ) -> Result<(), XlsxError> {
        let range = |name: &str, rows: u32, column: u16| {
            let column = rust_xlsxwriter::column_number_to_name(column);
            format!("'{name}'!${column}$2:${column}${}", rows + 1)
        };
        let wanted = [cell(row, column::TYPE), cell(row, column::CURRENCY)].map(|name| format!("${name}"));
        let over_all = |function: &str, sum: bool| {
            let parts = sheets.iter().filter(|(_, rows)| *rows > 0).map(|(name, rows)| {
                let summed = if sum { range(name, *rows, columns.minor) + "," } else { String::new() };
                let (types, currencies) = (range(name, *rows, TYPE), range(name, *rows, columns.currency));
                format!("{function}({summed}{types},{},{currencies},{})", wanted[0], wanted[1])
            });
            let parts: Vec<String> = parts.collect();
            if parts.is_empty() { "=0".to_owned() } else { format!("={}", parts.join("+")) }
        };
        let check = &self.sheet.formats.check;
        let (count, sum) = (over_all("COUNTIFS", false), over_all("SUMIFS", true));
        self.sheet.formula(row, at, &count, &side.rows.to_string(), check)?;
        if side.inexact || !is_exact(side.minor) {
            return self.sheet.minor(row, at + 1, side.minor);
        }
        self.sheet.formula(row, at + 1, &sum, &side.minor.to_string(), check)
    }

    /// The sum of what was counted in one currency, from row `begins` to here.
    fn all(&mut self, currency: Currency, begins: u32) -> Result<(), XlsxError> {
        let total = self.cover.all(currency);
        let row = self.row;
        let text = self.pick("all (not_expected is not counted)", "合计（不含无需入账）");
        self.sheet.text(row, column::TYPE, text)?;
        self.sheet.text(row, column::CURRENCY, currency.as_str())?;
        self.figures(currency, total)?;
        let sums = [
            (column::PLATFORM_ROWS, i128::from(total.rows.platform)),
            (column::PLATFORM_MINOR, total.platform),
            (column::CHANNEL_ROWS, i128::from(total.rows.channel)),
            (column::CHANNEL_MINOR, total.channel),
        ];
        for (column, result) in sums.into_iter().filter(|(_, result)| row > begins && is_exact(*result)) {
            let formula = format!("=SUM({}:{})", cell(begins, column), cell(row - 1, column));
            self.sheet.formula(row, column, &formula, &result.to_string(), &self.sheet.formats.check)?;
        }
        self.row += 1;
        Ok(())
    }

    /// Whether the channel's balance moved by what its rows say.
    fn tie(&mut self) -> Result<(), XlsxError> {
        let heads = self.pick(
            [
                "Balance tie",
                "opening",
                "activity",
                "payouts",
                "ending",
                "rows",
                "opening + activity + payouts - ending",
                "rows - activity",
                "",
            ],
            [
                "余额核对",
                "期初",
                "发生",
                "打款",
                "期末",
                "明细合计",
                "期初 + 发生 + 打款 - 期末",
                "明细合计 - 发生",
                "",
            ],
        );
        self.heads(&heads)?;
        let proof = self.cover.words.proof(self.cover.summary.tie.proof);
        let why = self.pick(
            "without a balance summary of the channel nothing shows that its file is complete",
            "没有渠道的余额汇总，无从证明渠道文件完整",
        );
        let why = if self.cover.summary.tie.proof == Proof::NotProvable { why } else { "" };
        self.texts(&[proof, why])?;
        let first = self.row;
        for (currency, tie) in &self.cover.summary.tie.currencies {
            self.tie_of(*currency, tie)?;
        }
        if self.row > first {
            let [left, right] = column::TIE_CHECKS;
            self.checks.push(format!("{}:{}", cell(first, left), cell(self.row - 1, right)));
        }
        Ok(())
    }

    fn tie_of(&mut self, currency: Currency, tie: &CurrencyTie) -> Result<(), XlsxError> {
        let decimals = self.cover.exponents.of(currency);
        let row = self.row;
        self.sheet.text(row, 0, currency.as_str())?;
        self.sheet.major(row, 5, tie.itemized_activity, decimals)?;
        let proof = if tie.holds() { Proof::Proven } else { Proof::Failed };
        self.sheet.text(row, 8, self.cover.words.proof(proof))?;
        self.row += 1;
        let stated = tie.stated.unwrap_or_default();
        let amounts = [stated.opening, stated.activity, stated.payouts, stated.ending];
        for (column, minor) in (1_u16..).zip(amounts) {
            self.sheet.major(row, column, minor, decimals)?;
        }
        if !amounts.into_iter().chain([tie.itemized_activity]).all(is_exact) {
            self.is_beyond_exact = true;
            return self.sheet.text(row, column::TIE_CHECKS[0], self.beyond_exact());
        }
        let scale = 10_u32.pow(decimals.into());
        let at = row + 1;
        let checks = [
            (
                format!("=ROUND((B{at}+C{at}+D{at}-E{at})*{scale},0)"),
                amounts[0] + amounts[1] + amounts[2] - amounts[3],
            ),
            (format!("=ROUND((F{at}-C{at})*{scale},0)"), tie.itemized_activity - stated.activity),
        ];
        for (column, (formula, off)) in column::TIE_CHECKS.into_iter().zip(checks) {
            self.off += off.abs();
            self.sheet.formula(row, column, &formula, &off.to_string(), &self.sheet.formats.check)?;
        }
        Ok(())
    }

    /// Whether rows, payouts and what arrived at the bank are the same money.
    fn three_way(&mut self) -> Result<(), XlsxError> {
        let cover = self.cover;
        let Some(payouts) = &cover.summary.payouts else { return Ok(()) };
        let title = self.pick("Rows, payouts and the bank", "明细、打款与银行入账");
        let heads: Vec<&str> = [title].into_iter().chain(cover.three_way_heads()).chain([""]).collect();
        self.heads(&heads)?;
        let bank = self.pick("bank statement", "银行对账单");
        let proofs = [cover.words.three_way(payouts.proof), bank, cover.words.proof(payouts.bank.proof)];
        self.texts(&proofs)?;
        for (currency, tie) in &payouts.currencies {
            self.sheet.text(self.row, 0, currency.as_str())?;
            for (column, minor) in (1_u16..).zip(Cover::three_way_amounts(tie)) {
                self.sheet.major(self.row, column, minor, cover.exponents.of(*currency))?;
            }
            self.sheet.text(self.row, 9, cover.words.three_way(tie.proof))?;
            self.row += 1;
        }
        for (currency, tie) in &payouts.currencies {
            if let Some(told) = cover.words.named_payouts(tie, |minor| cover.money(*currency, minor)) {
                self.texts(&[&format!("{currency}: {told}")])?;
            }
        }
        Ok(())
    }

    fn files(&mut self) -> Result<(), XlsxError> {
        let heads = self.pick(
            ["Files and control totals", "rows", "other days", "rejects", "unbalanced", "control totals"],
            ["文件与控制总数", "行数", "其他日期", "拒收", "收支不平", "控制总数"],
        );
        self.heads(&heads)?;
        for (side, file) in self.cover.sides() {
            self.sheet.text(self.row, 0, self.cover.words.side(side))?;
            let counts = [file.rows, file.rows_outside_window, file.rejects.count, file.unbalanced.rows];
            for (column, count) in (1_u16..).zip(counts) {
                self.sheet.count(self.row, column, count)?;
            }
            self.sheet.text(self.row, 5, self.cover.words.proof(file.control.proof))?;
            self.row += 1;
        }
        for (side, file) in self.cover.sides() {
            for check in file.control.checks.iter().filter(|check| !check.holds()) {
                let text = self.cover.failed_check(side, check);
                self.texts(&[&text])?;
            }
        }
        Ok(())
    }

    fn not_booked(&mut self) -> Result<(), XlsxError> {
        let heads = self.pick(
            ["Not booked row by row", "currency", "rows", "gross", "fee", "net"],
            ["不逐笔入账的资金变动", "币种", "笔数", "总额", "手续费", "净额"],
        );
        let kinds = || Kind::ALL.into_iter().filter(|kind| !kind.is_booked_by_platform());
        if !self.cover.sides().iter().any(|(_, file)| kinds().any(|kind| file.kinds.contains_key(&kind))) {
            return Ok(());
        }
        self.heads(&heads)?;
        for (side, file) in self.cover.sides() {
            for kind in kinds() {
                for (currency, totals) in file.kinds.get(&kind).into_iter().flatten() {
                    let name = self.not_booked_name(side, kind);
                    self.sheet.text(self.row, 0, &name)?;
                    self.sheet.text(self.row, 1, currency.as_str())?;
                    self.sheet.count(self.row, 2, totals.rows)?;
                    let decimals = self.cover.exponents.of(*currency);
                    for (column, minor) in (3_u16..).zip([totals.gross, totals.fee, totals.net]) {
                        self.sheet.major(self.row, column, minor, decimals)?;
                    }
                    self.row += 1;
                }
            }
        }
        Ok(())
    }

    fn not_booked_name(&self, side: Side, kind: Kind) -> String {
        format!("{} {}", self.cover.words.side(side), self.cover.words.kind(kind))
    }

    fn adjustments(&mut self) -> Result<(), XlsxError> {
        let (cover, summary) = (self.cover, &self.cover.summary);
        if summary.adjustments.is_empty() && summary.money_at_risk.is_empty() {
            return Ok(());
        }
        let heads = self.pick(
            ["Adjustments, and what was taken though not paid here", "currency", "rows", "amount"],
            ["容差调整与渠道已收而我方未成功的金额", "币种", "笔数", "金额"],
        );
        self.heads(&heads)?;
        for (rule, currencies) in &summary.adjustments {
            for (currency, totals) in currencies {
                self.sheet.text(self.row, 0, rule)?;
                self.sheet.text(self.row, 1, currency.as_str())?;
                self.sheet.count(self.row, 2, totals.count)?;
                self.sheet.major(self.row, 3, totals.amount, cover.exponents.of(*currency))?;
                self.row += 1;
            }
        }
        for (currency, amount) in &summary.money_at_risk {
            let name = self.pick("taken, not paid here", "渠道已收、我方未成功");
            self.sheet.text(self.row, 0, name)?;
            self.sheet.text(self.row, 1, currency.as_str())?;
            self.sheet.major(self.row, 3, *amount, cover.exponents.of(*currency))?;
            self.row += 1;
        }
        Ok(())
    }

    fn rejects(&mut self) -> Result<(), XlsxError> {
        let cover = self.cover;
        let files = cover.rejects();
        if files.is_empty() {
            return Ok(());
        }
        let heads = self.pick(
            ["Rejects", "in all", "line", "column", "message"],
            ["无法读取的内容", "总数", "行", "列", "说明"],
        );
        self.heads(&heads)?;
        for (name, rejects) in files {
            self.sheet.text(self.row, 0, name)?;
            self.sheet.count(self.row, 1, rejects.count)?;
            self.row += 1;
            for reject in &rejects.first {
                self.sheet.count(self.row, 2, reject.line)?;
                self.sheet.text(self.row, 3, reject.column.as_deref().unwrap_or_default())?;
                self.sheet.text(self.row, 4, &cover.words.why_rejected(reject))?;
                self.row += 1;
            }
        }
        Ok(())
    }
}

fn totals_heads(cover: &Cover) -> [&'static str; 14] {
    cover.words.pick(
        [
            "Totals",
            "currency",
            "platform rows",
            "platform amount",
            "platform minor units",
            "channel rows",
            "channel amount",
            "channel minor units",
            "channel less platform",
            "platform rows listed",
            "platform minor units listed",
            "channel rows listed",
            "channel minor units listed",
            "check (0: ties)",
        ],
        [
            "合计",
            "币种",
            "平台笔数",
            "平台金额",
            "平台金额（最小单位）",
            "渠道笔数",
            "渠道金额",
            "渠道金额（最小单位）",
            "渠道减平台",
            "平台明细笔数",
            "平台明细金额（最小单位）",
            "渠道明细笔数",
            "渠道明细金额（最小单位）",
            "核对（0 表示相符）",
        ],
    )
}
