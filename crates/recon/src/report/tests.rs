//! Reports of days that are unlike others.

use std::collections::BTreeMap;
use std::io::Cursor;

use calamine::{Data, DataType, Reader, Xlsx};

use payops_channels::report::{ControlCheck, ControlReport, Unbalanced};
use payops_channels::row::Proof;
use payops_core::currency::{Currency, Exponents};
use payops_platform::error::Language;
use serde_json::{Value, json};

use super::cover::LineSide;
use super::pdf::PdfReport;
use super::xlsx::XlsxReport;
use super::{Cover, Line, Words};
use crate::engine::{
    ByCurrency, CurrencyTie, DiffType, MatchRate, PayoutTotals, Reason, Rejects, RowCounts, Side,
    SideSummary, StatedBalance, Summary, Tie, TypeTotals, Verdict,
};
use crate::model::RecordStatus;

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub(super) fn certificate() -> Value {
    json!({
        "engine_version": "0.1.0",
        "rules_version": 2,
        "inputs": [{ "role": "channel", "bytes": 1024, "sha256": HASH }],
        "parameters": { "channel": "stripe", "date": "2026-01-16", "timezone": "Etc/UTC" },
        "output_sha256": HASH,
        "of_a_later_version": 7,
    })
}

fn side() -> SideSummary {
    SideSummary {
        rows: 1_000,
        rows_outside_window: 3,
        rejects: Rejects::default(),
        control: ControlReport { proof: Proof::NotProvable, checks: Vec::new() },
        unbalanced: Unbalanced::default(),
        currencies: BTreeMap::new(),
        kinds: BTreeMap::new(),
        fees: Vec::new(),
    }
}

/// A day with `differences` rows of USD 1.00 that the channel does not know, and matched rows in `currencies`.
pub(super) fn cover(language: Language, currencies: &[&str], differences: u64) -> Cover {
    let mut types: BTreeMap<DiffType, TypeTotals> = BTreeMap::new();
    let amounts = |minor: i128| -> ByCurrency<i128> {
        currencies.iter().map(|code| (code.parse().unwrap(), minor)).collect()
    };
    let both = RowCounts { platform: 10, channel: 10 };
    types.insert(
        DiffType::Matched,
        TypeTotals {
            count: 10 * currencies.len() as u64,
            platform_amounts: amounts(1_234_567),
            channel_amounts: amounts(1_234_567),
            rows: currencies.iter().map(|code| (code.parse().unwrap(), both)).collect(),
            kinds: BTreeMap::new(),
        },
    );
    let of_usd = |count: u64| TypeTotals {
        count,
        platform_amounts: BTreeMap::from([(Currency::USD, i128::from(count) * 100)]),
        channel_amounts: BTreeMap::new(),
        rows: BTreeMap::from([(Currency::USD, RowCounts { platform: count, channel: 0 })]),
        kinds: BTreeMap::new(),
    };
    if differences > 0 {
        types.insert(DiffType::PlatformOnly, of_usd(differences));
    }
    types.insert(DiffType::NotExpected, of_usd(5));
    Cover {
        words: Words(language),
        exponents: Exponents::Stripe,
        task_no: Some("RECON20260116000001".to_owned()),
        channel: "stripe".to_owned(),
        account: "主账户".to_owned(),
        day: Some(("2026-01-16".parse().unwrap(), "Asia/Shanghai".to_owned())),
        run_no: Some(1),
        completed_at: Some("2026-01-17T01:02:03Z".parse().unwrap()),
        files: vec![("channel".to_owned(), "SETTLE20260117000001 (结算.csv)".to_owned())],
        summary: Summary {
            verdict: Verdict::Incomplete,
            reasons: vec![Reason::Rejects { side: Side::Platform, count: 3 }, Reason::SummaryMissing],
            match_rate: Some(MatchRate { matched: 10, compared: 11, ten_thousandths: 9_090 }),
            types,
            adjustments: BTreeMap::new(),
            money_at_risk: BTreeMap::from([(Currency::JPY, 1_500)]),
            platform: side(),
            channel: side(),
            tie: Tie {
                proof: Proof::NotProvable,
                currencies: BTreeMap::new(),
                rejects: Rejects::default(),
                payouts: PayoutTotals::default(),
            },
            payouts: None,
        },
        work: vec![(RecordStatus::Open, differences)],
        rest: "The rest is elsewhere.".to_owned(),
    }
}

pub(super) fn line(number: u64) -> Line<'static> {
    Line {
        diff_type: "platform_only".into(),
        kind: "payment".into(),
        channel_trade_no: format!("ch_{number}").into(),
        payment_no: format!("PAY{number}").into(),
        platform: LineSide {
            money: Some((100, Currency::USD)),
            status: "succeeded".into(),
            line: Some(number + 2),
        },
        ..Line::default()
    }
}

fn lines(count: u64) -> Vec<Line<'static>> {
    (0..count).map(line).collect()
}

fn set(cover: &Cover, lines: impl IntoIterator<Item = Line<'static>>) -> Vec<u8> {
    let mut report = PdfReport::begin(cover).unwrap();
    lines.into_iter().for_each(|line| report.row(&line));
    report.finish(&certificate()).unwrap()
}

/// All text without blanks: a PDF has its own.
fn text_of(pdf: &[u8]) -> String {
    let document = lopdf::Document::load_mem(pdf).unwrap();
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    let text = document.extract_text(&pages).unwrap();
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

#[track_caller]
fn says(text: &str, wanted: &[&str]) {
    for words in wanted {
        let words: String = words.chars().filter(|character| !character.is_whitespace()).collect();
        assert!(text.contains(&words), "{words} is not in {}", text.chars().take(4_000).collect::<String>());
    }
}

#[test]
fn a_report_says_everything_in_english() {
    let text = text_of(&set(&cover(Language::English, &["USD", "JPY"], 2), (0..2).map(line)));
    says(
        &text,
        &[
            "Reconciliation report stripe RECON20260116000001",
            "2026-01-16 (Asia/Shanghai)",
            "2026-01-17 01:02:03 UTC",
            "Verdict incomplete",
            "90.90 % (10 / 11)",
            "the platform file could not be read in 3 places",
            "matched: 20 (74.07 %)",
            "platform_only 2",
            // Ten matched of 12,345.67 and two of 1.00; what is not expected stands beside it.
            "all 12 12,347.67 10 12,345.67 -2.00",
            "not_expected, not in all 5 5.00",
            "1,234,567",
            "NOT PROVABLE: without a balance summary",
            "taken, not paid here JPY 1,500",
            "ch_1",
            "PAY1",
            "Certificate",
            HASH,
            "of_a_later_version 7",
        ],
    );
}

#[test]
fn a_report_says_everything_in_chinese() {
    let mut cover = cover(Language::Chinese, &["USD"], 2);
    cover.summary.channel.control = ControlReport {
        proof: Proof::Failed,
        checks: vec![ControlCheck {
            name: "sum".to_owned(),
            currency: Some(Currency::USD),
            stated: Some(700),
            found: 800,
        }],
    };
    let stated = StatedBalance { opening: 0, activity: 100, payouts: -50, ending: 60 };
    let tie =
        CurrencyTie { stated: Some(stated), itemized_activity: 100, balances: false, activity_ties: true };
    cover.summary.tie.proof = Proof::Failed;
    cover.summary.tie.currencies = BTreeMap::from([(Currency::USD, tie)]);
    let text = text_of(&set(&cover, (0..2).map(line)));
    says(
        &text,
        &[
            "对账报告 stripe RECON20260116000001",
            "账户 主账户",
            "渠道文件 SETTLE20260117000001 (结算.csv)",
            "结论 不完整",
            "平台文件有 3 处无法读取",
            "一致: 10 (",
            "仅平台有",
            "合计 12 12,347.67",
            "无需入账（不计入合计）",
            "渠道 sum: 声明 USD 7.00, 实际 USD 8.00",
            "不符：余额汇总自相矛盾、与明细不符，或未能完整读取。",
            "USD 0.00 1.00 -0.50 0.60 1.00 不符",
            "差异明细",
            "对账证书",
            "输出的 SHA-256",
        ],
    );
}

#[test]
fn the_same_task_gives_the_same_bytes() {
    let make = |language| set(&cover(language, &["USD"], 3), (0..3).map(line));
    assert_eq!(make(Language::Chinese), make(Language::Chinese));
    assert_ne!(make(Language::Chinese), make(Language::English));
    assert!(make(Language::Chinese).len() < 200_000);
}

#[test]
fn a_report_shows_the_first_differences_and_says_where_the_rest_is() {
    let cover = cover(Language::English, &["USD"], 100_000);
    let mut report = PdfReport::begin(&cover).unwrap();
    let mut given = 0;
    while report.wants_more() {
        report.row(&line(given));
        // What is no difference takes no room.
        report.row(&Line { diff_type: "timing".into(), ..line(999_999) });
        given += 1;
    }
    assert_eq!(given, 200);
    let text = text_of(&report.finish(&certificate()).unwrap());
    says(
        &text,
        &["ch_0", "ch_199", "These are the first 200 of 100,000 differences. The rest is elsewhere."],
    );
    assert!(!text.contains("ch_200") && !text.contains("ch_999999"));
}

#[test]
fn a_day_without_differences_or_rows_is_a_report_too() {
    let text = text_of(&set(&cover(Language::English, &["USD"], 0), []));
    says(&text, &["There are none.", "Certificate"]);
    let mut empty = cover(Language::Chinese, &[], 0);
    empty.summary.types.clear();
    empty.summary.match_rate = None;
    (empty.task_no, empty.run_no, empty.day, empty.completed_at) = (None, None, None, None);
    says(&text_of(&set(&empty, [])), &["没有可比对的记录", "没有差异。", "文件中的全部数据"]);
}

#[test]
fn thirty_currencies_and_the_strangest_texts_fit() {
    let codes: Vec<String> =
        (0..30_u8).map(|n| format!("A{}{}", char::from(b'A' + n / 6), char::from(b'A' + n % 6))).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let mut cover = cover(Language::Chinese, &codes, 4);
    cover.account = "account".repeat(300);
    let long = "PAY".repeat(3_000);
    let lines = [
        Line { payment_no: long.into(), ..line(0) },
        Line {
            channel_trade_no: "مرحبا\u{202e}😀\u{0}".into(),
            diff_type: "of_a_later_version".into(),
            ..line(1)
        },
        Line {
            platform: LineSide { money: Some((i64::MIN.into(), Currency::KWD)), ..LineSide::default() },
            ..line(2)
        },
        line(3),
    ];
    let text = text_of(&set(&cover, lines));
    says(&text, &codes);
    says(&text, &["[U+0645]", "[U+1F600][U+0000]", "of_a_later_version", "25.808 KWD", "ch_3"]);
}

/// The cells of a sheet by row and column: what they show, and what formulas give.
fn cells(book: &mut Xlsx<Cursor<Vec<u8>>>, sheet: &str) -> BTreeMap<(u32, u32), Data> {
    let range = book.worksheet_range(sheet).unwrap();
    let (top, left) = range.start().unwrap();
    let cell = |(row, column, data): (usize, usize, &Data)| {
        ((top + u32::try_from(row).unwrap(), left + u32::try_from(column).unwrap()), data.clone())
    };
    range.used_cells().map(cell).collect()
}

fn book_of(cover: &Cover, lines: &[Line<'_>], most_rows: u32) -> Xlsx<Cursor<Vec<u8>>> {
    Xlsx::new(Cursor::new(workbook(cover, lines, most_rows))).unwrap()
}

fn workbook(cover: &Cover, lines: &[Line<'_>], most_rows: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let mut report = XlsxReport::with_sheets_of(cover, folder.path(), most_rows).unwrap();
    for line in lines {
        report.row(line).unwrap();
    }
    let mut bytes = Vec::new();
    report.finish(&certificate(), &mut bytes).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    bytes
}

/// The row of the summary that begins with these words.
fn row_of(cells: &BTreeMap<(u32, u32), Data>, words: &str, currency: &str) -> u32 {
    let named = |row: u32, column: u32, text: &str| {
        cells.get(&(row, column)).is_some_and(|data| *data == Data::String(text.to_owned()))
    };
    let rows = cells.keys().map(|(row, _)| *row);
    rows.into_iter()
        .find(|row| named(*row, 0, words) && (currency.is_empty() || named(*row, 1, currency)))
        .unwrap()
}

#[test]
fn a_workbook_ties_its_totals_to_its_rows() {
    let cover = cover(Language::English, &["USD", "JPY"], 3);
    // Three rows on sheets of two.
    let mut book = book_of(&cover, &lines(3), 2);
    assert_eq!(book.sheet_names(), ["Summary", "Differences", "Differences 2", "Certificate"]);
    let summary = cells(&mut book, "Summary");
    let number = |row: u32, column: u32| summary[&(row, column)].as_i64().unwrap();
    let row = row_of(&summary, "platform_only", "USD");
    assert_eq!([2, 3, 4, 9, 10, 13].map(|column| number(row, column)), [3, 3, 300, 3, 300, 0]);
    let formulas = book.worksheet_formula("Summary").unwrap();
    let formula = |row, column| formulas.get_value((row, column)).unwrap().clone();
    let excel_row = row + 1;
    assert_eq!(
        formula(row, 10),
        format!(
            "SUMIFS('Differences'!$I$2:$I$3,'Differences'!$A$2:$A$3,$A{excel_row},'Differences'!$G$2:$G$3,$B{excel_row})\
             +SUMIFS('Differences 2'!$I$2:$I$2,'Differences 2'!$A$2:$A$2,$A{excel_row},'Differences 2'!$G$2:$G$2,$B{excel_row})"
        )
    );
    assert_eq!(
        formula(row, 13),
        format!(
            "ABS(C{excel_row}-J{excel_row})+ABS(E{excel_row}-K{excel_row})+ABS(F{excel_row}-L{excel_row})+ABS(H{excel_row}-M{excel_row})"
        )
    );
    // What nobody lists row by row is not checked, and what was not expected is not added.
    let matched = row_of(&summary, "matched", "USD");
    assert_eq!(summary[&(matched, 9)], Data::String("not listed row by row".to_owned()));
    let all = row_of(&summary, "all (not_expected is not counted)", "USD");
    assert_eq!([2, 4].map(|column| number(all, column)), [13, 1_234_867]);
    assert_eq!(formula(all, 2), format!("SUM(C{}:C{})", matched + 1, all));
    let sum = row_of(&summary, "Sum of all checks (0: everything ties)", "");
    assert_eq!(number(sum, 1), 0);
}

#[test]
fn a_workbook_whose_rows_do_not_give_its_totals_says_so() {
    let mut cover = cover(Language::Chinese, &["USD"], 3);
    let stated = StatedBalance { opening: 5, activity: 100, payouts: -50, ending: 60 };
    let tie =
        CurrencyTie { stated: Some(stated), itemized_activity: 98, balances: false, activity_ties: false };
    cover.summary.tie.currencies = BTreeMap::from([(Currency::USD, tie)]);
    let mut book = book_of(&cover, &lines(2), 10);
    assert_eq!(book.sheet_names(), ["汇总", "差异", "证书"]);
    let summary = cells(&mut book, "汇总");
    let number = |row: u32, column: u32| summary[&(row, column)].as_i64().unwrap();
    assert_eq!(number(row_of(&summary, "仅平台有", "USD"), 13), 101);
    let tie = row_of(&summary, "USD", "");
    assert_eq!([6, 7].map(|column| number(tie, column)), [-5, -2]);
    assert_eq!(summary[&(tie, 8)], Data::String("不符".to_owned()));
    assert_eq!(number(row_of(&summary, "全部核对之和（0 表示相符）", ""), 1), 108);
}

#[test]
fn cells_hold_text_as_text_and_amounts_exactly() {
    let cover = cover(Language::Chinese, &["USD"], 2);
    let lines = vec![
        Line {
            payment_no: "=HYPERLINK(\"http://example.com\")".into(),
            merchant_id: "@商户".into(),
            ..line(0)
        },
        Line {
            platform: LineSide { money: Some((i64::MAX.into(), Currency::KWD)), ..LineSide::default() },
            channel: LineSide { money: Some((-1_234, Currency::JPY)), ..LineSide::default() },
            channel_trade_no: "\u{1}مرحبا😀\u{ffff}".into(),
            ..line(1)
        },
        Line {
            diff_type: "within_tolerance".into(),
            channel: LineSide { money: Some((98, Currency::USD)), ..LineSide::default() },
            rule: "-fees".into(),
            adjustment: Some(-2),
            ..line(2)
        },
        Line { diff_type: "ambiguous".into(), candidate_count: 12, candidate_lines: vec![4, 7], ..line(3) },
    ];
    let mut book = book_of(&cover, &lines, 10);
    let rows = cells(&mut book, "差异");
    assert_eq!(
        (rows[&(3, 19)].clone(), rows[&(3, 20)].clone()),
        (Data::String("-fees".to_owned()), Data::Float(-0.02))
    );
    assert_eq!(
        (rows[&(4, 21)].clone(), rows[&(4, 22)].clone()),
        (Data::Float(12.0), Data::String("4 7".to_owned()))
    );
    let text = |row, column| rows[&(row, column)].as_string().unwrap();
    assert_eq!((text(1, 0), text(1, 1)), ("仅平台有".to_owned(), "支付".to_owned()));
    assert_eq!(text(1, 3), "=HYPERLINK(\"http://example.com\")");
    assert_eq!(text(1, 5), "@商户");
    assert!(book.worksheet_formula("差异").unwrap().is_empty(), "no cell of the rows is a formula");
    assert_eq!((rows[&(1, 7)].clone(), rows[&(1, 8)].clone()), (Data::Float(1.0), Data::Float(100.0)));
    // Beyond 53 bits only the text is exact.
    assert_eq!(rows[&(2, 8)], Data::String("9223372036854775807".to_owned()));
    assert_eq!(
        (rows[&(2, 12)].clone(), rows[&(2, 13)].clone()),
        (Data::Float(-1_234.0), Data::Float(-1_234.0))
    );
    assert!(text(2, 2).contains("مرحبا😀\u{fffd}"), "{}", text(2, 2));
    assert!(!rows.contains_key(&(2, 16)), "two currencies have no gap");
    let summary = cells(&mut book, "证书");
    assert!(summary.values().any(|data| *data == Data::String(HASH.to_owned())));
}

#[test]
fn what_is_beyond_exact_numbers_is_not_checked() {
    let mut cover = cover(Language::English, &[], 1);
    assert_eq!(cover.role("bank_statement"), "Bank statement");
    let totals = cover.summary.types.get_mut(&DiffType::PlatformOnly).unwrap();
    totals.platform_amounts = BTreeMap::from([(Currency::USD, i128::from(i64::MAX))]);
    let large = Line {
        platform: LineSide { money: Some((i64::MAX.into(), Currency::USD)), ..LineSide::default() },
        ..line(0)
    };
    let summary = cells(&mut book_of(&cover, &[large], 10), "Summary");
    let row = row_of(&summary, "platform_only", "USD");
    assert_eq!(summary[&(row, 13)], Data::String("beyond exact numbers".to_owned()));
    assert_eq!(summary[&(row, 4)], Data::String(i64::MAX.to_string()));
    let sum = row_of(&summary, "Sum of all checks (0: everything ties)", "");
    assert_eq!(summary[&(sum, 1)], Data::String("beyond exact numbers".to_owned()), "it is no tie");
}

#[test]
fn the_same_task_gives_the_same_workbook() {
    let make = || workbook(&cover(Language::Chinese, &["USD"], 3), &lines(3), 10);
    assert!(make() == make());
    let mut of_files = cover(Language::Chinese, &["USD"], 3);
    (of_files.completed_at, of_files.day) = (None, None);
    assert!(workbook(&of_files, &[], 10) == workbook(&of_files, &[], 10));
}
