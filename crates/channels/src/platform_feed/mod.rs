//! The platform's payments as the gateway sends them: one JSON object a line, and a trailer that says how many
//! there were.

mod array;
mod fetch;
mod line;

use std::io::Read;

use payops_core::currency::Exponents;
use payops_core::time::Zone;

use crate::control::ControlTally;
use crate::fault::Fault;
use crate::options::ReadOptions;
use crate::read::no_day;
use crate::records::{Next, Records};
use crate::report::FileReport;
use crate::row::{Kind, Position, RejectReason, Row, RowSink};
use crate::rows::{cut_short, refuse};
use crate::tally::Tally;
use crate::time::{DayTest, TimeFormat};
pub use fetch::{FeedClient, FeedQuery, FeedSettings};
use line::{FeedLine, Fields};

/// Reads a feed. See [`crate::read::read_rows`].
pub(crate) fn read<R: Read, S: RowSink>(
    source: R,
    start: Position,
    options: &ReadOptions,
    sink: &mut S,
    report: &mut FileReport,
) {
    let day = options.window.as_ref();
    let day = day.map(|window| DayTest::new(TimeFormat::Iso8601, Zone::utc(), window)).transpose();
    let day = match day {
        Ok(day) => day,
        Err(error) => return refuse(vec![no_day(&error)], sink, report),
    };
    let mut records = Records::lines(source, options.limits.max_row_bytes, options.chunk_bytes, start);
    let mut feed = Feed {
        longest_id: options.limits.max_id_bytes,
        day,
        control: ControlTally::default(),
        tally: Tally::new(Exponents::Iso4217, options.limits.max_payout_groups),
    };
    loop {
        let reject = match records.next() {
            Next::Record(record) if !sink.wants(record.position) => None,
            Next::Record(record) => {
                let line = feed.line(record.field(0), record.position, |row| {
                    report.rows += 1;
                    report.rows_outside_window += u64::from(!row.in_window);
                    sink.row(record.position, row);
                });
                line.err().map(|fault| fault.at(record.position))
            }
            Next::Broken(broken) => {
                feed.control.count_row();
                Some(broken.into_reject())
            }
            Next::End => break,
        };
        if let Some(reject) = reject {
            report.rejects += 1;
            sink.reject(reject);
        }
        if sink.cancelled() {
            report.stopped_early = true;
            break;
        }
    }
    if let Some(error) = records.take_error() {
        report.rejects += 1;
        sink.reject(cut_short(&error));
    }
    report.bytes = records.consumed();
    feed.finish(report);
}

struct Feed {
    longest_id: usize,
    day: Option<DayTest>,
    control: ControlTally,
    tally: Tally,
}

impl Feed {
    fn line(&mut self, text: &[u8], position: Position, deliver: impl FnOnce(&Row<'_>)) -> Result<(), Fault> {
        let line = FeedLine::parse(text);
        if self.control.is_stated() {
            self.control.count_row();
            return Err(Fault::new(
                RejectReason::BadJson,
                None,
                "the trailer is not the last line: a line follows it",
            ));
        }
        let fields = match line {
            Ok(FeedLine::Trailer(trailer)) => {
                self.control.state(trailer.stated());
                return Ok(());
            }
            Ok(FeedLine::Row(fields)) => {
                self.control.count_row();
                fields
            }
            Err(fault) => {
                self.control.count_row();
                return Err(fault);
            }
        };
        self.row(&fields, position, deliver)
    }

    fn row(
        &mut self,
        fields: &Fields<'_>,
        position: Position,
        deliver: impl FnOnce(&Row<'_>),
    ) -> Result<(), Fault> {
        let currency = fields.currency()?;
        let written = fields.amount()?;
        self.control.add(currency, written);
        let kind = fields.kind()?;
        let (status, raw_status) = fields.status()?;
        let amount = match kind {
            Kind::Refund | Kind::Dispute if written > 0 => -written,
            _ => written,
        };
        let id = |name, value| line::id(name, value, self.longest_id);
        let payment_no = id("payment_no", fields.payment_no.as_deref())?;
        let refund_no = id("refund_no", fields.refund_no.as_deref())?;
        let row_id = if kind == Kind::Refund && !refund_no.is_empty() { refund_no } else { payment_no };
        if row_id.is_empty() {
            return Err(Fault::empty("payment_no"));
        }
        let trade_no = id("channel_trade_no", fields.channel_trade_no.as_deref())?;
        let trade_no = match trade_no.is_empty() {
            false => trade_no,
            // It never reached the channel: its key is its own number, which no channel's row carries.
            true if !status.money_moved() => row_id,
            true => return Err(Fault::empty("channel_trade_no")),
        };
        let occurred_at = id("created_at", fields.created_at.as_deref())?;
        let row = Row {
            kind,
            channel_trade_no: trade_no,
            charge_id: &[],
            payment_intent_id: &[],
            row_id,
            amount,
            currency,
            status: Some(status),
            raw_status,
            fee: None,
            net: None,
            payout_id: &[],
            merchant_id: id("merchant_id", fields.merchant_id.as_deref())?,
            occurred_at,
            in_window: self.in_window(occurred_at)?,
        };
        self.tally.add(position, kind as u16, &row, None);
        deliver(&row);
        Ok(())
    }

    fn in_window(&self, text: &[u8]) -> Result<bool, Fault> {
        let Some(day) = &self.day else { return Ok(true) };
        day.contains(text)
            .ok_or_else(|| Fault::value(RejectReason::BadTime, "created_at", "is not an RFC 3339 time", text))
    }

    fn finish(self, report: &mut FileReport) {
        self.tally.report(
            |number| {
                let kind = Kind::ALL.get(usize::from(number)).copied().unwrap_or(Kind::Adjustment);
                (kind.as_str(), kind)
            },
            report,
        );
        report.control = self.control.report();
    }
}
