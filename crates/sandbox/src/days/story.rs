//! What becomes of each payment of a day: which stories there are, how many of each, and where they stand.

use super::dice::{Dice, Stride, Topic};
use super::{DayPlan, Variant};

/// The story of one case of a day. Most are the plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    /// Paid here, charged there, alike.
    Plain,
    /// Booked here, unknown to the channel.
    PlatformOnly,
    /// Booked by the channel, unknown here.
    ChannelOnly,
    /// Both know it, with other amounts.
    AmountDiff,
    /// No money moved as the platform believes, but the channel has charged.
    StatusDiff,
    /// Both know it, in other currencies.
    CurrencyDiff,
    /// Booked twice here.
    DuplicatePlatform,
    /// Booked twice by the channel.
    DuplicateChannel,
    /// Failed or cancelled here and absent there, as it should be.
    NotCharged,
    /// Not decided yet here, and absent there.
    Pending,
    /// Alike at first; the corrected file has another amount.
    Revised,
    /// Charged today, refunded or disputed on a later day: our status has moved on.
    MovedOn,
    /// A refund, today, of an earlier day's payment.
    Refund,
    /// A payment and its refund on the same day.
    PaymentAndRefund,
    /// A chargeback, today, of an earlier day's payment.
    Dispute,
    /// A chargeback that was won: the money comes back.
    DisputeReversal,
}

/// How many of a thousand cases tell a story; stories beyond the first thousand cases of a day that are
/// differences become ten times rarer, so that large days are as clean as large days are.
const SHARES: [(Story, u64, bool); 15] = [
    (Story::PlatformOnly, 16, true),
    (Story::AmountDiff, 16, true),
    (Story::Revised, 16, true),
    (Story::ChannelOnly, 12, true),
    (Story::StatusDiff, 10, true),
    (Story::CurrencyDiff, 6, true),
    (Story::DuplicatePlatform, 6, true),
    (Story::DuplicateChannel, 6, true),
    (Story::Pending, 8, true),
    (Story::NotCharged, 30, false),
    (Story::MovedOn, 60, false),
    (Story::Refund, 50, false),
    (Story::PaymentAndRefund, 20, false),
    (Story::Dispute, 10, false),
    (Story::DisputeReversal, 4, false),
];

fn count(cases: u64, thousandths: u64, is_difference: bool) -> u64 {
    if is_difference {
        (cases.min(1000) * thousandths).div_ceil(1000) + cases.saturating_sub(1000) * thousandths / 10_000
    } else {
        (cases * thousandths).div_ceil(1000)
    }
}

/// Which case of a day tells which story. A pure function of the day's dice and size.
#[derive(Debug, Clone)]
pub(crate) struct Stories {
    /// Ranks below the number, and not below the one before it, tell the story.
    bounds: Vec<(u64, Story)>,
    ranks: Stride,
    variant: Variant,
}

impl Stories {
    pub(crate) fn new(dice: Dice, plan: DayPlan) -> Self {
        let mut end = 0;
        let bounds = SHARES
            .iter()
            .map(|&(story, thousandths, is_difference)| {
                end += count(plan.payments, thousandths, is_difference);
                (end, story)
            })
            .collect();
        // The golden section spreads the few cases of one story over the whole day.
        let ranks = Stride::new(plan.payments, 618, dice.draw(0, Topic::Shuffle));
        Self { bounds, ranks, variant: plan.variant }
    }

    /// The story of case `index`, and its number among the cases that tell it.
    pub(crate) fn of(&self, index: u64) -> (Story, u64) {
        let rank = self.ranks.position_of(index);
        let at = self.bounds.partition_point(|&(end, _)| end <= rank);
        let first = at.checked_sub(1).and_then(|before| self.bounds.get(before)).map_or(0, |&(end, _)| end);
        let story = self.bounds.get(at).map_or(Story::Plain, |&(_, story)| story);
        (self.told(story), rank - first)
    }

    /// The story as this variant of the day tells it.
    fn told(&self, story: Story) -> Story {
        match (self.variant, story) {
            (
                Variant::Clean,
                Story::PlatformOnly
                | Story::AmountDiff
                | Story::Revised
                | Story::ChannelOnly
                | Story::StatusDiff
                | Story::CurrencyDiff
                | Story::DuplicatePlatform
                | Story::DuplicateChannel
                | Story::Pending,
            ) => Story::Plain,
            _ => story,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(payments: u64, variant: Variant) -> Vec<Story> {
        let stories = Stories::new(Dice::new(3), DayPlan { variant, payments });
        (0..payments).map(|index| stories.of(index).0).collect()
    }

    #[test]
    fn every_story_has_its_share() {
        let stories = told(500, Variant::Seeded);
        for (story, thousandths, _) in SHARES {
            let found = stories.iter().filter(|&&told| told == story).count() as u64;
            assert_eq!(found, (500 * thousandths).div_ceil(1000), "{story:?}");
        }
    }

    #[test]
    fn large_days_have_a_smaller_share_of_differences() {
        let stories = told(100_000, Variant::Seeded);
        let found = stories.iter().filter(|&&told| told == Story::AmountDiff).count();
        assert_eq!(found, 16 + 158);
    }

    #[test]
    fn tiny_days_do_not_overflow() {
        for payments in 0..40 {
            assert_eq!(told(payments, Variant::Seeded).len() as u64, payments);
        }
    }

    #[test]
    fn a_clean_day_tells_only_harmless_stories() {
        for story in told(500, Variant::Clean) {
            assert!(
                matches!(
                    story,
                    Story::Plain
                        | Story::NotCharged
                        | Story::MovedOn
                        | Story::Refund
                        | Story::PaymentAndRefund
                        | Story::Dispute
                        | Story::DisputeReversal
                ),
                "{story:?}"
            );
        }
    }

    #[test]
    fn the_evening_has_a_share_of_each_correctable_story() {
        let stories = told(500, Variant::Seeded);
        for story in [Story::AmountDiff, Story::PlatformOnly, Story::Revised] {
            assert!(stories[400..].contains(&story), "{story:?}");
        }
    }
}
