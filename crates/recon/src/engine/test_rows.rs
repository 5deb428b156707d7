//! Hand-made rows, and a way to match them without a file.

use std::sync::LazyLock;

use payops_channels::TimeReader;
use payops_channels::row::{Kind, Position, Row, RowSink, Status};
use payops_core::currency::Currency;

use super::CutOff;
use super::carried::{Carried, CarriedRow};
use super::entry::{KeyHasher, Side};
use super::join::Found;
use super::matching::{MatchSettings, match_sides};
use super::observer::Observer;
use super::pairing::PairingRules;
use super::partitions::Budget;
use super::rules::DiffType;
use super::side::{SideBuilder, SideRows, SideSettings};
use super::tolerance::Tolerance;

/// A row that owns its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TestRow {
    pub(super) kind: Kind,
    pub(super) trade_no: String,
    pub(super) charge_id: String,
    pub(super) intent_id: String,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) status: Option<Status>,
    pub(super) occurred_at: String,
    pub(super) in_window: bool,
}

impl Default for TestRow {
    fn default() -> Self {
        Self {
            kind: Kind::Payment,
            trade_no: "ch_1".into(),
            charge_id: String::new(),
            intent_id: String::new(),
            amount: 1000,
            currency: Currency::USD,
            status: None,
            occurred_at: String::new(),
            in_window: true,
        }
    }
}

impl TestRow {
    /// A payment of 10.00 USD of ours that succeeded.
    pub(super) fn ours(trade_no: &str) -> Self {
        Self { trade_no: trade_no.into(), status: Some(Status::Succeeded), ..Self::default() }
    }

    /// A payment of 10.00 USD in an itemised report.
    pub(super) fn theirs(trade_no: &str) -> Self {
        Self { trade_no: trade_no.into(), ..Self::default() }
    }

    pub(super) fn as_row(&self) -> Row<'_> {
        Row {
            kind: self.kind,
            channel_trade_no: self.trade_no.as_bytes(),
            charge_id: self.charge_id.as_bytes(),
            payment_intent_id: self.intent_id.as_bytes(),
            row_id: b"",
            amount: self.amount,
            currency: self.currency,
            status: self.status,
            raw_status: b"",
            fee: None,
            net: None,
            payout_id: b"",
            merchant_id: b"",
            occurred_at: self.occurred_at.as_bytes(),
            in_window: self.in_window,
        }
    }
}

impl From<&TestRow> for CarriedRow {
    /// A row of an earlier day; it is due where the row is inside the window.
    fn from(row: &TestRow) -> Self {
        Self::of(&row.as_row())
    }
}

/// What is listed: the type, and the places of the rows in their lists.
pub(super) type Listed = (DiffType, Option<u64>, Option<u64>);

pub(super) static NOTHING_TOLERATED: LazyLock<Tolerance> = LazyLock::new(Tolerance::default);
static NOTHING_CARRIED: LazyLock<Carried> = LazyLock::new(Carried::default);

/// How [`Matcher::run`] goes about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matcher<'a> {
    pub(super) seed: [u64; 2],
    pub(super) memory: u64,
    pub(super) threads: usize,
    pub(super) bits: u32,
    pub(super) lists_failed: bool,
    pub(super) cut_off: Option<CutOff>,
    pub(super) net: bool,
    pub(super) carried: &'a Carried,
    pub(super) tolerance: &'a Tolerance,
}

impl Default for Matcher<'_> {
    fn default() -> Self {
        Self {
            seed: [1, 2],
            memory: u64::MAX,
            threads: 1,
            bits: 3,
            lists_failed: false,
            cut_off: None,
            net: false,
            carried: &NOTHING_CARRIED,
            tolerance: &NOTHING_TOLERATED,
        }
    }
}

impl Matcher<'_> {
    pub(super) fn run(self, platform: &[TestRow], channel: &[TestRow]) -> Found {
        let temp_dir = std::env::temp_dir();
        let settings = SideSettings {
            hasher: KeyHasher::new(self.seed),
            bits: self.bits,
            budget: Budget::new(self.memory),
            temp_dir: &temp_dir,
            cut_off: self.cut_off,
            net: self.net,
            carried: self.carried,
            cancelled: &|| false,
        };
        let side = |side: Side, rows: &[TestRow]| -> SideRows {
            let builder = SideBuilder::new(side, &settings, TimeReader::default());
            let mut writer = builder.writer();
            for (ordinal, row) in (0..).zip(rows) {
                writer.row(Position { offset: ordinal * 100, line: ordinal + 2, ordinal }, &row.as_row());
            }
            let notes = writer.finish().unwrap();
            builder.finish(vec![notes], &[]).unwrap()
        };
        let match_settings = MatchSettings {
            rules: PairingRules { lists_failed: self.lists_failed, net: self.net, tolerance: self.tolerance },
            keep_all: true,
            threads: self.threads,
            bits: self.bits,
            budget: &settings.budget,
            temp_dir: &temp_dir,
        };
        let (platform, channel) = (side(Side::Platform, platform), side(Side::Channel, channel));
        match_sides(&platform, &channel, &match_settings, Observer::none()).unwrap()
    }

    pub(super) fn list(self, platform: &[TestRow], channel: &[TestRow]) -> Vec<Listed> {
        let found = self.run(platform, channel);
        found.listed.iter().map(|one| (one.diff_type(), one.platform(), one.channel())).collect()
    }
}
