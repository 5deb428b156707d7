//! A sink that keeps everything, for tests.

use payops_channels::row::{Kind, Position, Reject, Row, RowSink, Status};
use payops_channels::{FileReport, Format, ReadOptions, read_rows};

/// A row that owns its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRow {
    pub position: Position,
    pub kind: Kind,
    pub trade_no: String,
    pub charge_id: String,
    pub payment_intent_id: String,
    pub row_id: String,
    pub amount: i64,
    pub currency: String,
    pub status: Option<Status>,
    pub fee: Option<i64>,
    pub net: Option<i64>,
    pub payout_id: String,
    pub merchant_id: String,
    pub occurred_at: String,
    pub in_window: bool,
}

#[derive(Debug, Default)]
pub struct Keep {
    pub rows: Vec<OwnedRow>,
    pub rejects: Vec<Reject>,
    pub stop_after: Option<usize>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

impl RowSink for Keep {
    fn row(&mut self, position: Position, row: &Row<'_>) {
        self.rows.push(OwnedRow {
            position,
            kind: row.kind,
            trade_no: text(row.channel_trade_no),
            charge_id: text(row.charge_id),
            payment_intent_id: text(row.payment_intent_id),
            row_id: text(row.row_id),
            amount: row.amount,
            currency: row.currency.to_string(),
            status: row.status,
            fee: row.fee,
            net: row.net,
            payout_id: text(row.payout_id),
            merchant_id: text(row.merchant_id),
            occurred_at: text(row.occurred_at),
            in_window: row.in_window,
        });
    }

    fn reject(&mut self, reject: Reject) {
        self.rejects.push(reject);
    }

    fn cancelled(&self) -> bool {
        self.stop_after.is_some_and(|rows| self.rows.len() >= rows)
    }
}

pub fn read(bytes: &[u8], format: &Format, options: &ReadOptions) -> (Keep, FileReport) {
    let mut sink = Keep::default();
    let report = read_rows(bytes, format, options, &mut sink);
    assert_eq!((sink.rows.len() as u64, sink.rejects.len() as u64), (report.rows, report.rejects));
    (sink, report)
}
