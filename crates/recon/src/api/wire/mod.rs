//! What the API takes and gives. Field names follow the original system; times are RFC 3339 UTC, amounts are
//! minor units of the currency beside them.

mod back_tests;
mod channel_settings;
mod completeness;
mod expected_files;
mod files;
mod records;
mod reports;
mod rule_sets;
mod schedules;
mod tasks;

pub use back_tests::*;
pub use channel_settings::*;
pub use completeness::*;
pub use expected_files::*;
pub use files::*;
pub use records::*;
pub use reports::*;
pub use rule_sets::*;
pub use schedules::*;
pub use tasks::*;

/// The zone of a day that names none.
fn utc() -> String {
    "Etc/UTC".to_owned()
}
