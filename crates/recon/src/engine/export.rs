//! Writes differences as CSV and as JSON, in the columns that both are documented with.

use std::io::{self, Write};

use payops_channels::row::Kind;
use payops_core::currency::Currency;
use serde::Serialize;

use super::differences::{Difference, ListedRow};
use super::tolerance::Tolerance;
use crate::payouts::{PayoutDetail, PayoutDifference};

/// The columns of a differences file, in order.
pub const COLUMNS: [&str; 13] = [
    "diff_type",
    "kind",
    "channel_trade_no",
    "payment_no",
    "channel_row_id",
    "platform_amount",
    "channel_amount",
    "platform_currency",
    "channel_currency",
    "platform_status",
    "channel_status",
    "platform_line",
    "channel_line",
];

/// The columns that follow where rules of tolerance are in force.
pub const TOLERANCE_COLUMNS: [&str; 4] = ["adjustment", "rule", "candidates", "candidate_lines"];

/// Which columns a differences file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// [`COLUMNS`].
    Usual,
    /// [`COLUMNS`], then [`TOLERANCE_COLUMNS`].
    WithTolerance,
}

impl Columns {
    /// Those of a run with these rules.
    pub fn of(tolerance: &Tolerance) -> Self {
        if tolerance.is_empty() { Self::Usual } else { Self::WithTolerance }
    }
}

/// Writes the header of a differences file.
pub fn write_csv_header(out: &mut impl Write, columns: Columns) -> io::Result<()> {
    out.write_all(COLUMNS.join(",").as_bytes())?;
    if columns == Columns::WithTolerance {
        write!(out, ",{}", TOLERANCE_COLUMNS.join(","))?;
    }
    out.write_all(b"\n")
}

/// Writes one line of a differences file. Amounts are minor units; statuses are the words of the sources;
/// what a side does not have is empty.
pub fn write_csv_line(out: &mut impl Write, difference: &Difference<'_>, columns: Columns) -> io::Result<()> {
    out.write_all(difference.diff_type.as_str().as_bytes())?;
    out.write_all(b",")?;
    out.write_all(difference.kind().as_str().as_bytes())?;
    for id in [difference.channel_trade_no(), difference.payment_no(), difference.channel_row_id()] {
        out.write_all(b",")?;
        write_text(out, id)?;
    }
    let sides = [difference.platform.as_ref(), difference.channel.as_ref()];
    for side in sides {
        out.write_all(b",")?;
        side.map_or(Ok(()), |row| write!(out, "{}", row.row.amount))?;
    }
    for side in sides {
        out.write_all(b",")?;
        side.map_or(Ok(()), |row| out.write_all(row.row.currency.as_str().as_bytes()))?;
    }
    for side in sides {
        out.write_all(b",")?;
        write_text(out, side.map_or(b"", |row| row.row.raw_status))?;
    }
    for side in sides {
        out.write_all(b",")?;
        side.and_then(ListedRow::line).map_or(Ok(()), |line| write!(out, "{line}"))?;
    }
    if columns == Columns::WithTolerance {
        write_tolerance(out, difference)?;
    }
    out.write_all(b"\n")
}

/// Writes one difference between payouts and bank in the same columns: the channel's are the payouts' (ids with blanks
/// between, and their sum), the platform's are the bank's (text, sum, and the line of the first entry).
pub fn write_payout_csv_line(
    out: &mut impl Write,
    difference: &PayoutDifference<'_>,
    columns: Columns,
) -> io::Result<()> {
    let line = JsonLine::of_payouts(difference);
    write!(out, "{},{},", line.diff_type, line.kind)?;
    write_text(out, line.channel_trade_no.as_deref().unwrap_or_default().as_bytes())?;
    out.write_all(b",")?;
    write_text(out, line.payment_no.as_deref().unwrap_or_default().as_bytes())?;
    out.write_all(b",")?;
    for amount in [line.platform_amount, line.channel_amount] {
        out.write_all(b",")?;
        amount.map_or(Ok(()), |amount| write!(out, "{amount}"))?;
    }
    for currency in [line.platform_currency, line.channel_currency] {
        out.write_all(b",")?;
        currency.map_or(Ok(()), |currency| out.write_all(currency.as_str().as_bytes()))?;
    }
    out.write_all(b",,,")?;
    line.platform_line.map_or(Ok(()), |line| write!(out, "{line}"))?;
    out.write_all(b",")?;
    if columns == Columns::WithTolerance {
        out.write_all(b",,,,")?;
    }
    out.write_all(b"\n")
}

/// Writes one difference between payouts and bank as a JSON object on one line, without a line end: the members are
/// those of [`write_payout_csv_line`], and `payout` has the payouts and deposits one by one.
pub fn write_payout_json_object(
    out: &mut (impl Write + ?Sized),
    difference: &PayoutDifference<'_>,
) -> io::Result<()> {
    serde_json::to_writer(out, &JsonLine::of_payouts(difference)).map_err(io::Error::from)
}

/// The adjustment and its rule; how many candidates there are, and the lines of the first, with blanks between.
fn write_tolerance(out: &mut impl Write, difference: &Difference<'_>) -> io::Result<()> {
    match difference.adjustment {
        Some(adjustment) => {
            write!(out, ",{},", adjustment.amount)?;
            write_text(out, adjustment.rule.as_bytes())?;
        }
        None => out.write_all(b",,")?,
    }
    if difference.candidate_count == 0 {
        return out.write_all(b",,");
    }
    write!(out, ",{},", difference.candidate_count)?;
    for (index, line) in difference.candidates.iter().filter_map(ListedRow::line).enumerate() {
        let gap = if index > 0 { " " } else { "" };
        write!(out, "{gap}{line}")?;
    }
    Ok(())
}

/// Writes a field, in quotes where it needs them.
fn write_text(out: &mut impl Write, text: &[u8]) -> io::Result<()> {
    let needs_quotes = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !text.iter().any(needs_quotes) {
        return out.write_all(text);
    }
    out.write_all(b"\"")?;
    for (index, part) in text.split(|byte| *byte == b'"').enumerate() {
        if index > 0 {
            out.write_all(b"\"\"")?;
        }
        out.write_all(part)?;
    }
    out.write_all(b"\"")
}

/// A difference as a JSON object, with the members of [`COLUMNS`], of which those that a side does not have are `null`,
/// and those of [`TOLERANCE_COLUMNS`] that it has.
#[derive(Debug, Serialize)]
struct JsonLine<'a> {
    diff_type: &'a str,
    kind: &'a str,
    channel_trade_no: Option<String>,
    payment_no: Option<String>,
    channel_row_id: Option<String>,
    platform_amount: Option<i128>,
    channel_amount: Option<i128>,
    platform_currency: Option<Currency>,
    channel_currency: Option<Currency>,
    platform_status: Option<String>,
    channel_status: Option<String>,
    platform_line: Option<u64>,
    channel_line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjustment: Option<i128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidate_lines: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payout: Option<PayoutDetail<'a>>,
}

impl<'a> JsonLine<'a> {
    fn of_payouts(difference: &'a PayoutDifference<'_>) -> Self {
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let (arrived, paid_out) = (difference.arrived(), difference.paid_out());
        Self {
            diff_type: difference.outcome.as_str(),
            kind: Kind::Payout.as_str(),
            channel_trade_no: text(difference.payout_ids()),
            payment_no: text(difference.bank_texts()),
            channel_row_id: None,
            platform_amount: arrived,
            channel_amount: paid_out,
            platform_currency: arrived.and(difference.currency()),
            channel_currency: paid_out.and(difference.currency()),
            platform_status: None,
            channel_status: None,
            platform_line: difference.deposits.first().map(|deposit| deposit.line),
            channel_line: None,
            adjustment: None,
            rule: None,
            candidates: None,
            candidate_lines: Vec::new(),
            payout: Some(difference.detail()),
        }
    }
}

/// Writes one difference as a JSON object on one line, without a line end. Bytes that are no UTF-8 are
/// replaced.
pub fn write_json_object(out: &mut (impl Write + ?Sized), difference: &Difference<'_>) -> io::Result<()> {
    let text = |bytes: &[u8]| (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned());
    let status = |row: Option<&ListedRow<'_>>| row.and_then(|row| text(row.row.raw_status));
    let (platform, channel) = (difference.platform.as_ref(), difference.channel.as_ref());
    let line = JsonLine {
        diff_type: difference.diff_type.as_str(),
        kind: difference.kind().as_str(),
        channel_trade_no: text(difference.channel_trade_no()),
        payment_no: text(difference.payment_no()),
        channel_row_id: text(difference.channel_row_id()),
        platform_amount: platform.map(|row| row.row.amount.into()),
        channel_amount: channel.map(|row| row.row.amount.into()),
        platform_currency: platform.map(|row| row.row.currency),
        channel_currency: channel.map(|row| row.row.currency),
        platform_status: status(platform),
        channel_status: status(channel),
        platform_line: platform.and_then(ListedRow::line),
        channel_line: channel.and_then(ListedRow::line),
        adjustment: difference.adjustment.map(|adjustment| adjustment.amount),
        rule: difference.adjustment.map(|adjustment| adjustment.rule),
        candidates: Some(difference.candidate_count).filter(|count| *count > 0),
        candidate_lines: difference.candidates.iter().filter_map(ListedRow::line).collect(),
        payout: None,
    };
    serde_json::to_writer(out, &line).map_err(io::Error::from)
}
