//! The rules of comparison: what kinds of outcome there are, and when two statuses tell the same story.

use std::fmt;

use payops_channels::row::Status;
use serde::{Deserialize, Serialize};

/// How a row, or a pair of rows, came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum DiffType {
    /// Both sides have the row, with the same amount and currency and statuses that fit.
    Matched,
    /// Both sides have it, their amounts are apart by no more than a rule tolerates, and all else agrees: a match, whose
    /// gap is booked as an adjustment.
    WithinTolerance,
    /// Both sides have it and agree, one of them on an earlier day.
    Carried,
    /// Rows of one payment that add up to the same on both sides, cut in other pieces: a match.
    Netted,
    /// We booked it, the channel does not know it.
    PlatformOnly,
    /// The channel moved money that we did not book.
    ChannelOnly,
    /// Both have it in one currency with different amounts.
    AmountDiff,
    /// Both have it with the same money, and statuses that contradict each other.
    StatusDiff,
    /// Both have it in different currencies.
    CurrencyDiff,
    /// We booked it more often than the channel moved it.
    DuplicatePlatform,
    /// The channel moved it more often than we booked it.
    DuplicateChannel,
    /// Within tolerance of several rows of one id, or of one that is within tolerance of several: nobody knows which
    /// belong together, so none is taken for a match.
    Ambiguous,
    /// Pending here and absent there, young enough to appear in the channel's next file.
    Timing,
    /// Failed or cancelled here and absent there, as it should be.
    NotExpected,
}

impl DiffType {
    /// Every type, in the order in which reports list them.
    pub const ALL: [Self; 14] = [
        Self::Matched,
        Self::WithinTolerance,
        Self::Carried,
        Self::Netted,
        Self::PlatformOnly,
        Self::ChannelOnly,
        Self::AmountDiff,
        Self::StatusDiff,
        Self::CurrencyDiff,
        Self::DuplicatePlatform,
        Self::DuplicateChannel,
        Self::Ambiguous,
        Self::Timing,
        Self::NotExpected,
    ];

    /// The type's name on the wire and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::WithinTolerance => "within_tolerance",
            Self::Carried => "carried",
            Self::Netted => "netted",
            Self::PlatformOnly => "platform_only",
            Self::ChannelOnly => "channel_only",
            Self::AmountDiff => "amount_diff",
            Self::StatusDiff => "status_diff",
            Self::CurrencyDiff => "currency_diff",
            Self::DuplicatePlatform => "duplicate_platform",
            Self::DuplicateChannel => "duplicate_channel",
            Self::Ambiguous => "ambiguous",
            Self::Timing => "timing",
            Self::NotExpected => "not_expected",
        }
    }

    /// The type with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|diff_type| diff_type.as_str() == name)
    }

    /// Whether somebody has to explain it: it bars the verdict "reconciled".
    pub fn is_difference(self) -> bool {
        !self.is_match() && !matches!(self, Self::Timing | Self::NotExpected)
    }

    /// Whether it belongs to the totals of a day: the money moved, or should have. What is `not_expected` moved nowhere
    /// and would make the platform's total one that no statement of the channel can meet.
    pub fn is_counted(self) -> bool {
        self != Self::NotExpected
    }

    /// Whether both sides have it and agree.
    pub fn is_match(self) -> bool {
        matches!(self, Self::Matched | Self::WithinTolerance | Self::Carried | Self::Netted)
    }

    /// The names of the types that nobody has to do anything about, listed only when everything is kept.
    pub fn unlisted() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(|diff_type| !diff_type.is_listed()).map(Self::as_str)
    }

    /// Whether it is listed row by row even when matched rows are not kept. `timing` is no difference, but
    /// its rows are carried into the next run, and `carried` tells where they went; an adjustment is booked one by one, and a net
    /// shows what it is made of.
    pub fn is_listed(self) -> bool {
        self.is_difference()
            || matches!(self, Self::Timing | Self::WithinTolerance | Self::Carried | Self::Netted)
    }
}

impl fmt::Display for DiffType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether the two statuses can be true of one movement.
///
/// An itemised channel report states no status: its row says that money moved, which fits every status of
/// ours after which money has moved, refunded and disputed included, since ours moves on later. Where both
/// sides state a status, both must state the same. A platform that states none contradicts nothing.
pub(super) fn statuses_fit(platform: Option<Status>, channel: Option<Status>) -> bool {
    match (platform, channel) {
        (None, _) => true,
        (Some(ours), None) => ours.money_moved(),
        (Some(ours), Some(theirs)) => ours == theirs,
    }
}

/// Whether our status says that no money will ever move.
pub(super) fn is_dead(platform: Option<Status>) -> bool {
    matches!(platform, Some(Status::Failed | Status::Cancelled))
}

/// Whether a pair that contradicts itself in status means that the channel took money which we do not count
/// on: pending, failed or cancelled here, moved there.
pub(super) fn is_at_risk(platform: Option<Status>, channel: Option<Status>) -> bool {
    platform.is_some_and(|ours| !ours.money_moved()) && channel.is_none_or(Status::money_moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_itemised_row_fits_every_status_after_which_money_has_moved() {
        for status in Status::ALL {
            let moved = !matches!(status, Status::Pending | Status::Failed | Status::Cancelled);
            assert_eq!(statuses_fit(Some(status), None), moved, "{status}");
            assert!(statuses_fit(None, Some(status)), "{status}");
            for other in Status::ALL {
                assert_eq!(statuses_fit(Some(status), Some(other)), status == other);
            }
        }
        assert!(statuses_fit(None, None));
    }

    #[test]
    fn money_is_at_risk_when_the_channel_took_what_we_do_not_count_on() {
        assert!(is_at_risk(Some(Status::Failed), None));
        assert!(is_at_risk(Some(Status::Pending), Some(Status::Succeeded)));
        assert!(!is_at_risk(Some(Status::Succeeded), Some(Status::Failed)));
        assert!(!is_at_risk(Some(Status::Failed), Some(Status::Cancelled)));
        assert!(!is_at_risk(None, None));
    }
}
