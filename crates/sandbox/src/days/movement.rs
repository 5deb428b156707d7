//! Movements of money: what truly happened, and what each of the two sides wrote down about it.

use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};

use super::dice::{Dice, Topic};
use super::source::{CUT_OFF_SECONDS, DaySource, SECONDS_A_DAY};
use super::story::Story;
use super::truth::DifferenceType;
use super::{Variant, fees};

/// What money moved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// Money taken from a payer.
    Payment,
    /// Money given back to a payer.
    Refund,
    /// Money withdrawn by a chargeback.
    Dispute,
    /// Money returned because a chargeback was won.
    DisputeReversal,
    /// What the channel charges apart from the fee of each payment. The platform books none of these.
    Fee,
}

impl MovementKind {
    /// The kind's name in the platform's feed and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::DisputeReversal => "dispute_reversal",
            Self::Fee => "fee",
        }
    }

    /// The channel's word for it: its `reporting_category`.
    pub fn reporting_category(self) -> &'static str {
        match self {
            Self::Payment => "charge",
            other => other.as_str(),
        }
    }

    /// `amount`, written positive, as it moves the merchant's balance.
    pub fn signed(self, amount: i64) -> i64 {
        match self {
            Self::Payment | Self::DisputeReversal => amount,
            Self::Refund | Self::Dispute | Self::Fee => -amount,
        }
    }
}

/// The platform's word for the state of a payment or refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformStatus {
    /// Not decided yet.
    Pending,
    /// The money moved.
    Succeeded,
    /// A part went back on a later day.
    PartiallyRefunded,
    /// All of it went back on a later day.
    Refunded,
    /// The payer disputes it.
    Disputed,
    /// It was refused or broke.
    Failed,
    /// It was called off.
    Cancelled,
}

impl PlatformStatus {
    /// The status as it is written in the feed and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a reconciliation must find for a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// One pair, or one difference.
    Type(DifferenceType),
    /// No money moved and none is claimed.
    NothingMoved,
    /// The channel's own movement, which no platform books.
    Unbooked,
}

/// By which of the channel's ids the platform knows a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownBy {
    Charge,
    Intent,
}

/// What the platform wrote down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlatformSide {
    /// Minor units, positive.
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) status: PlatformStatus,
    pub(crate) known_by: KnownBy,
    pub(crate) copies: u8,
}

/// What the channel wrote down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChannelSide {
    /// Minor units, signed as the balance moves.
    pub(crate) gross: i64,
    pub(crate) fee: i64,
    pub(crate) currency: Currency,
    pub(crate) copies: u8,
}

impl ChannelSide {
    /// What all copies together did to the balance.
    pub(crate) fn total_net(&self) -> i64 {
        (self.gross - self.fee) * i64::from(self.copies)
    }
}

/// One movement of money.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Movement {
    /// The case of the day that it belongs to.
    pub(crate) index: u64,
    pub(crate) kind: MovementKind,
    /// Unix seconds.
    pub(crate) at: i64,
    pub(crate) platform: Option<PlatformSide>,
    pub(crate) channel: Option<ChannelSide>,
    pub(crate) expected: Expected,
}

/// The movements of one case: one, or a payment and its refund.
pub(crate) fn of_case(source: &DaySource, index: u64) -> (Movement, Option<Movement>) {
    let (story, number) = source.stories.of(index);
    let case = Case { dice: source.dice, index, story, number, at: source.time_of(index) };
    let is_corrected = source.plan.variant == Variant::Corrected && case.at >= source.start + CUT_OFF_SECONDS;
    let mut movement = case.tell(source, is_corrected);
    let refund =
        (story == Story::PaymentAndRefund).then(|| case.refund_on_the_same_day(source, &mut movement));
    (movement, refund)
}

struct Case {
    dice: Dice,
    index: u64,
    story: Story,
    /// The case's number among those that tell the same story; it picks the flavour.
    number: u64,
    at: i64,
}

impl Case {
    fn tell(&self, source: &DaySource, is_corrected: bool) -> Movement {
        let plain = self.plain();
        let matched = DifferenceType::Matched;
        match self.story {
            Story::PlatformOnly if is_corrected => plain,
            Story::AmountDiff if is_corrected && !self.is_failed_too() => plain,
            Story::Revised if is_corrected => self.other_amount(plain),
            Story::Plain
            | Story::Revised
            | Story::Refund
            | Story::Dispute
            | Story::DisputeReversal
            | Story::PaymentAndRefund => plain,
            Story::PlatformOnly => {
                Movement { channel: None, ..plain }.expecting(DifferenceType::PlatformOnly)
            }
            Story::ChannelOnly => Movement { platform: None, ..plain }.expecting(DifferenceType::ChannelOnly),
            Story::AmountDiff => {
                let other = self.other_amount(plain);
                if self.is_failed_too() { other.with_status(PlatformStatus::Failed) } else { other }
            }
            Story::StatusDiff => {
                use PlatformStatus::{Cancelled, Failed, Pending};
                let status = self.pick([Failed, Cancelled, Failed, Pending]);
                plain.with_status(status).expecting(DifferenceType::StatusDiff)
            }
            Story::CurrencyDiff => Self::other_currency(plain),
            Story::DuplicatePlatform => plain.platform_twice(),
            Story::DuplicateChannel => plain.channel_twice(),
            Story::NotCharged => {
                let status = self.pick([PlatformStatus::Failed, PlatformStatus::Cancelled]);
                Movement { channel: None, expected: Expected::NothingMoved, ..plain }.with_status(status)
            }
            Story::Pending => {
                let before_midnight =
                    1 + i64::try_from(self.dice.below(self.index, Topic::Detail, 1800)).unwrap_or(0);
                Movement { channel: None, at: source.start + SECONDS_A_DAY - before_midnight, ..plain }
                    .with_status(PlatformStatus::Pending)
                    .expecting(DifferenceType::Timing)
            }
            Story::MovedOn => {
                use PlatformStatus::{Disputed, PartiallyRefunded, Refunded};
                plain.with_status(self.pick([PartiallyRefunded, Refunded, Disputed])).expecting(matched)
            }
        }
    }

    /// What the case would be if both sides agreed.
    fn plain(&self) -> Movement {
        let kind = self.kind();
        let currency = fees::currency_of(self.dice.below(self.index, Topic::Currency, 100));
        let amount = fees::amount_in(currency, self.dice, self.index);
        // Duplicates are known by the charge's id: an intent that stands twice would be ambiguous.
        let by_intent = kind == MovementKind::Payment
            && !matches!(self.story, Story::DuplicatePlatform | Story::DuplicateChannel)
            && self.dice.below(self.index, Topic::Key, 100) < 35;
        Movement {
            index: self.index,
            kind,
            at: self.at,
            platform: Some(PlatformSide {
                amount,
                currency,
                status: PlatformStatus::Succeeded,
                known_by: if by_intent { KnownBy::Intent } else { KnownBy::Charge },
                copies: 1,
            }),
            channel: Some(ChannelSide {
                gross: kind.signed(amount),
                fee: fees::fee_of(kind, amount, currency),
                currency,
                copies: 1,
            }),
            expected: Expected::Type(DifferenceType::Matched),
        }
    }

    fn kind(&self) -> MovementKind {
        match self.story {
            Story::Refund => MovementKind::Refund,
            Story::Dispute => MovementKind::Dispute,
            Story::DisputeReversal => MovementKind::DisputeReversal,
            Story::ChannelOnly if self.number % 8 == 5 => MovementKind::Dispute,
            Story::PlatformOnly
            | Story::ChannelOnly
            | Story::AmountDiff
            | Story::DuplicatePlatform
            | Story::DuplicateChannel
                if self.number % 4 == 2 =>
            {
                MovementKind::Refund
            }
            _ => MovementKind::Payment,
        }
    }

    /// One amount difference in ten is a status difference too: the amount must win.
    fn is_failed_too(&self) -> bool {
        self.number % 10 == 3 && self.kind() == MovementKind::Payment
    }

    fn other_amount(&self, plain: Movement) -> Movement {
        let change = 1 + self.dice.amount_below(self.index, Topic::Detail, 99);
        let grows = self.number.is_multiple_of(2);
        let channel = plain.channel.map(|side| {
            let amount = if grows { side.gross.abs() + change } else { side.gross.abs() - change };
            let fee = fees::fee_of(plain.kind, amount, side.currency);
            ChannelSide { gross: plain.kind.signed(amount), fee, ..side }
        });
        Movement { channel, ..plain }.expecting(DifferenceType::AmountDiff)
    }

    fn other_currency(plain: Movement) -> Movement {
        let channel = plain.channel.map(|side| {
            let currency = if side.currency == Currency::USD { Currency::EUR } else { Currency::USD };
            let fee = fees::fee_of(plain.kind, side.gross.abs(), currency);
            ChannelSide { fee, currency, ..side }
        });
        Movement { channel, ..plain }.expecting(DifferenceType::CurrencyDiff)
    }

    fn refund_on_the_same_day(&self, source: &DaySource, payment: &mut Movement) -> Movement {
        let whole = self.number.is_multiple_of(2);
        *payment = payment.with_status(if whole {
            PlatformStatus::Refunded
        } else {
            PlatformStatus::PartiallyRefunded
        });
        let paid = payment.platform.map_or(0, |side| side.amount);
        let amount = if whole { paid } else { paid / 2 };
        let rest_of_day = source.start + SECONDS_A_DAY - 1 - payment.at;
        Movement {
            kind: MovementKind::Refund,
            at: payment.at + rest_of_day / 2,
            platform: payment.platform.map(|side| PlatformSide {
                amount,
                status: PlatformStatus::Succeeded,
                known_by: KnownBy::Charge,
                ..side
            }),
            channel: payment.channel.map(|side| ChannelSide { gross: -amount, fee: 0, ..side }),
            ..*payment
        }
    }

    fn pick<const N: usize>(&self, choices: [PlatformStatus; N]) -> PlatformStatus {
        let at = usize::try_from(self.number).unwrap_or(0) % N.max(1);
        choices.get(at).copied().unwrap_or(PlatformStatus::Succeeded)
    }
}

impl Movement {
    fn expecting(self, found: DifferenceType) -> Self {
        Self { expected: Expected::Type(found), ..self }
    }

    fn with_status(self, status: PlatformStatus) -> Self {
        Self { platform: self.platform.map(|side| PlatformSide { status, ..side }), ..self }
    }

    fn platform_twice(self) -> Self {
        Self { platform: self.platform.map(|side| PlatformSide { copies: 2, ..side }), ..self }
    }

    fn channel_twice(self) -> Self {
        Self { channel: self.channel.map(|side| ChannelSide { copies: 2, ..side }), ..self }
    }

    /// What the channel charges for the network, once a day and currency. `index` lies beyond the cases.
    pub(crate) fn network_fee(source: &DaySource, index: u64, currency: Currency) -> Self {
        let amount = 100 + source.dice.amount_below(index, Topic::Amount, 5_000);
        Self {
            index,
            kind: MovementKind::Fee,
            at: source.start + SECONDS_A_DAY / 2,
            platform: None,
            channel: Some(ChannelSide { gross: -amount, fee: 0, currency, copies: 1 }),
            expected: Expected::Unbooked,
        }
    }
}
