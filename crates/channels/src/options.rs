//! What a reader accepts, and which day it is asked about.

use chrono::NaiveDate;
use payops_core::time::Zone;

/// Bounds that keep a hostile or damaged file from taking the machine down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest row, in bytes of decoded text. A longer one is rejected without being held in memory.
    pub max_row_bytes: usize,
    /// The longest id, in bytes.
    pub max_id_bytes: usize,
    /// The largest file, in bytes of unpacked text.
    pub max_file_bytes: u64,
    /// How many times larger than its packed form a file may be. It is checked once 64 MiB are unpacked, so
    /// that small files of great regularity pass.
    pub max_unpack_ratio: u64,
    /// For how many payouts a file's rows are summed; rows of further payouts are only counted.
    pub max_payout_groups: usize,
    /// How many entries of bank statements are read from one file. They are held in memory, unlike rows.
    pub max_bank_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_row_bytes: 1 << 20,
            max_id_bytes: 255,
            max_file_bytes: 64 << 30,
            max_unpack_ratio: 250,
            max_payout_groups: 100_000,
            max_bank_entries: 1_000_000,
        }
    }
}

/// The business day that is asked about. Rows outside of it are delivered all the same, marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The zone that defines the day.
    pub zone: Zone,
    /// The day.
    pub day: NaiveDate,
}

/// How a file is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// What is accepted.
    pub limits: Limits,
    /// The day asked about. Without one no time is looked at and every row counts as inside.
    pub window: Option<Window>,
    /// The zone in which a Stripe report prints its times, as given to the run as `timezone`. It is used
    /// where the report has no `created_utc` column. A mapping names its own zone.
    pub printed_zone: Zone,
    /// How many bytes are read at a time.
    pub chunk_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), window: None, printed_zone: Zone::utc(), chunk_bytes: 64 << 10 }
    }
}
