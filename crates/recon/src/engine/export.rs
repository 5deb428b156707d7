//! Writes differences as CSV and as JSON, in the columns that both are documented with.

use std::io::{self, Write};

use serde::Serialize;

use super::differences::{Difference, ListedRow};

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

/// Writes the header of a differences file.
pub fn write_csv_header(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))
}

/// Writes one line of a differences file. Amounts are minor units; statuses are the words of the sources;
/// what a side does not have is empty.
pub fn write_csv_line(out: &mut impl Write, difference: &Difference<'_>) -> io::Result<()> {
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
        side.map_or(Ok(()), |row| write!(out, "{}", row.position.line))?;
    }
    out.write_all(b"\n")
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

/// A difference as a JSON object, with the members of [`COLUMNS`]; what a side does not have is `null`.
#[derive(Debug, Serialize)]
struct JsonLine<'a> {
    diff_type: &'a str,
    kind: &'a str,
    channel_trade_no: Option<String>,
    payment_no: Option<String>,
    channel_row_id: Option<String>,
    platform_amount: Option<i64>,
    channel_amount: Option<i64>,
    platform_currency: Option<&'a str>,
    channel_currency: Option<&'a str>,
    platform_status: Option<String>,
    channel_status: Option<String>,
    platform_line: Option<u64>,
    channel_line: Option<u64>,
}

/// Writes one difference as a JSON object on one line, without a line end. Bytes that are no UTF-8 are
/// replaced.
pub fn write_json_object(out: &mut impl Write, difference: &Difference<'_>) -> io::Result<()> {
    let text = |bytes: &[u8]| (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned());
    let status = |row: Option<&ListedRow<'_>>| row.and_then(|row| text(row.row.raw_status));
    let (platform, channel) = (difference.platform.as_ref(), difference.channel.as_ref());
    let line = JsonLine {
        diff_type: difference.diff_type.as_str(),
        kind: difference.kind().as_str(),
        channel_trade_no: text(difference.channel_trade_no()),
        payment_no: text(difference.payment_no()),
        channel_row_id: text(difference.channel_row_id()),
        platform_amount: platform.map(|row| row.row.amount),
        channel_amount: channel.map(|row| row.row.amount),
        platform_currency: platform.map(|row| row.row.currency.as_str()),
        channel_currency: channel.map(|row| row.row.currency.as_str()),
        platform_status: status(platform),
        channel_status: status(channel),
        platform_line: platform.map(|row| row.position.line),
        channel_line: channel.map(|row| row.position.line),
    };
    serde_json::to_writer(out, &line).map_err(io::Error::from)
}
