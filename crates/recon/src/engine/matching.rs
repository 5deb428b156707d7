//! From two sides to what was found.

use std::path::Path;
use std::sync::Arc;

use super::alias::AliasSearch;
use super::error::EngineError;
use super::join::{self, Found, Sides};
use super::observer::{Meter, Observer, Phase};
use super::pairing::PairingRules;
use super::partitions::Budget;
use super::side::SideRows;

/// What matching depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct MatchSettings<'a> {
    pub(super) rules: PairingRules<'a>,
    /// List everything, not only differences.
    pub(super) keep_all: bool,
    pub(super) threads: usize,
    pub(super) bits: u32,
    pub(super) budget: &'a Arc<Budget>,
    pub(super) temp_dir: &'a Path,
}

/// Meets the sides. Their entries are gone afterwards.
pub(super) fn match_sides(
    platform: &SideRows,
    channel: &SideRows,
    settings: &MatchSettings<'_>,
    observer: Observer<'_>,
) -> Result<Found, EngineError> {
    let partitions = platform.entries.count() as u64;
    let has_aliases = !channel.aliases.charges.is_empty() || !channel.aliases.intents.is_empty();
    let meter = Meter::new(observer, Phase::Matching, if has_aliases { 2 * partitions } else { partitions });
    let done = || {
        meter.advance(1);
        meter.check_cancelled()
    };
    let search = AliasSearch {
        platform: &platform.entries,
        channel: &channel.entries,
        aliases: &channel.aliases,
        bits: settings.bits,
        budget: settings.budget,
        temp_dir: settings.temp_dir,
    };
    let moved = search.run(settings.threads, &done)?;
    let sides = Sides { platform: &platform.entries, channel: &channel.entries, moved: &moved };
    join::join(sides, settings.rules, settings.keep_all, settings.threads, &done)
}
