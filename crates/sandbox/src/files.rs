//! A day as files: what a person would have exported from the two sides.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::bank::write_bank_statement;
use crate::days::{Day, PlatformRow};
use crate::report::{Alteration, Report, ReportType};

/// Where [`write_files`] put a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayFiles {
    /// The platform's rows, in the columns of its feed.
    pub platform: PathBuf,
    /// The channel's itemised balance change from activity.
    pub settlement: PathBuf,
    /// The channel's balance summary.
    pub balance_summary: PathBuf,
    /// The channel's payouts.
    pub payouts: PathBuf,
    /// The rows that these payouts carry, of whatever days.
    pub payout_rows: PathBuf,
    /// What the bank received of them.
    pub bank: PathBuf,
    /// The exact expected result.
    pub truth: PathBuf,
}

/// The columns of the settlement file.
const SETTLEMENT_COLUMNS: [&str; 16] = [
    "balance_transaction_id",
    "created_utc",
    "created",
    "available_on",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "charge_id",
    "payment_intent_id",
    "description",
    "automatic_payout_id",
    "automatic_payout_effective_at",
    "payment_method_type",
];

/// Writes a day as `platform.csv`, `settlement.csv`, `balance_summary.csv`, `payouts.csv`, `payout_rows.csv`, `bank.xml` and
/// `truth.json` into `folder`, which is made if it is not there. Files of these names are replaced.
///
/// The rows are streamed: a day of a million payments needs no more memory than a small one.
pub fn write_files(day: &Day, folder: &Path) -> io::Result<DayFiles> {
    std::fs::create_dir_all(folder)?;
    let files = DayFiles {
        platform: folder.join("platform.csv"),
        settlement: folder.join("settlement.csv"),
        balance_summary: folder.join("balance_summary.csv"),
        payouts: folder.join("payouts.csv"),
        payout_rows: folder.join("payout_rows.csv"),
        bank: folder.join("bank.xml"),
        truth: folder.join("truth.json"),
    };
    write_file(&files.platform, |out| write_platform_csv(day, out))?;
    write_file(&files.settlement, |out| write_settlement_csv(day, out))?;
    write_file(&files.balance_summary, |out| write_balance_summary_csv(day, out))?;
    write_file(&files.payouts, |out| write_payouts_csv(day, out))?;
    write_file(&files.payout_rows, |out| write_payout_rows_csv(day, out))?;
    write_file(&files.bank, |out| write_bank_statement(day, out))?;
    write_file(&files.truth, |out| {
        serde_json::to_writer_pretty(&mut *out, &day.truth())?;
        out.write_all(b"\n")
    })?;
    Ok(files)
}

fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(256 * 1024, File::create(path)?);
    write(&mut out)?;
    out.flush()
}

/// Writes the platform's rows as CSV: the feed's columns, amounts in minor units.
pub fn write_platform_csv(day: &Day, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(
        b"payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id,kind,refund_no\n",
    )?;
    for row in day.platform_rows() {
        write_platform_line(&row, out)?;
    }
    Ok(())
}

fn write_platform_line(row: &PlatformRow, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{},{},{},{},{},{},{},{},{}",
        row.payment_no,
        row.channel_trade_no,
        row.amount,
        row.currency,
        row.status.as_str(),
        row.created_at.format("%Y-%m-%dT%H:%M:%SZ"),
        row.merchant_id,
        row.kind.as_str(),
        row.refund_no.as_deref().unwrap_or_default(),
    )
}

/// Writes the channel's itemised activity as `balance_change_from_activity.itemized.3` shows it, times in
/// the day's zone.
pub fn write_settlement_csv(day: &Day, out: &mut dyn Write) -> io::Result<()> {
    write_report(day, "balance_change_from_activity.itemized.3", &SETTLEMENT_COLUMNS, out)
}

/// Writes the channel's balance summary as `balance.summary.1` shows it.
pub fn write_balance_summary_csv(day: &Day, out: &mut dyn Write) -> io::Result<()> {
    write_report(day, "balance.summary.1", &[], out)
}

/// Writes the channel's payouts as `payouts.itemized.3` shows them.
pub fn write_payouts_csv(day: &Day, out: &mut dyn Write) -> io::Result<()> {
    write_report(day, "payouts.itemized.3", &[], out)
}

/// Writes the rows that the day's payouts carry as `payout_reconciliation.itemized.5` shows them.
pub fn write_payout_rows_csv(day: &Day, out: &mut dyn Write) -> io::Result<()> {
    write_report(day, "payout_reconciliation.itemized.5", &[], out)
}

fn write_report(day: &Day, report_type: &str, columns: &[&str], out: &mut dyn Write) -> io::Result<()> {
    let report_type = ReportType::parse(report_type)
        .ok_or_else(|| io::Error::other(format!("{report_type} is no report type")))?;
    let interval = (day.window().start.timestamp(), day.window().end.timestamp());
    let mut report = Report::plain(day.world(), day.channel(), report_type, interval);
    report.zone = jiff::tz::TimeZone::get(day.zone().name()).unwrap_or(jiff::tz::TimeZone::UTC);
    if !columns.is_empty() {
        report.columns = columns.iter().map(|&name| name.to_owned()).collect();
    }
    report.write(out, Alteration::default()).map(drop)
}
