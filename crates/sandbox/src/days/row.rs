//! The rows that the two sides show: made from movements, one by one, when they are asked for.

use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Channel;
use super::dice::{Dice, Topic, push_base62};
use super::movement::{ChannelSide, KnownBy, Movement, MovementKind, PlatformSide, PlatformStatus};
use super::source::{PAYOUT_SECONDS, SECONDS_A_DAY, date_of};
use super::world::{instant, payout_day};

/// One row of the platform's feed. Field names and words are those of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformRow {
    /// The platform's number of the payment; for refunds and disputes, of the payment they belong to.
    pub payment_no: String,
    /// The channel's id: of the charge or payment intent, of the refund, of the dispute.
    pub channel_trade_no: String,
    /// Minor units, positive; a refund or dispute means money going out.
    pub amount: i64,
    /// The currency of `amount`.
    pub currency: Currency,
    /// The state of the payment as the platform sees it today.
    pub status: PlatformStatus,
    /// When the platform booked it.
    pub created_at: Timestamp,
    /// Whose payment it is.
    pub merchant_id: Uuid,
    /// What the row moves money for.
    pub kind: MovementKind,
    /// The platform's number of the refund, on refunds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_no: Option<String>,
}

/// One balance transaction of the channel, as an itemised report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRow {
    /// The row's own id.
    pub balance_transaction_id: String,
    /// When it happened.
    pub created: Timestamp,
    /// When the money can be paid out.
    pub available_on: Timestamp,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Minor units, signed as the balance moves.
    pub gross: i64,
    /// Minor units, positive when charged.
    pub fee: i64,
    /// `gross` - `fee`.
    pub net: i64,
    /// What it moves money for.
    pub kind: MovementKind,
    /// The charge, refund or dispute; empty on fees.
    pub source_id: String,
    /// The charge that it belongs to; empty on fees.
    pub charge_id: String,
    /// The payment intent that it belongs to; empty on fees.
    pub payment_intent_id: String,
    /// When the charge was made.
    pub charge_created: Option<Timestamp>,
    /// A text for people. Some have commas and quotes.
    pub description: String,
    /// The payout that carries it.
    pub automatic_payout_id: String,
    /// When that payout leaves the balance.
    pub automatic_payout_effective_at: Timestamp,
    /// `card` or `sepa_debit`; empty on fees.
    pub payment_method_type: &'static str,
    /// `visa`, `mastercard` or `amex`; empty where there is no card.
    pub card_brand: &'static str,
    /// The platform's number of the payment, as the metadata says; empty on fees.
    pub payment_no: String,
}

/// One payout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutRow {
    /// The payout's id.
    pub payout_id: String,
    /// The id of its balance transaction.
    pub balance_transaction_id: String,
    /// When it leaves the balance.
    pub effective_at: Timestamp,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Minor units, signed as the balance moves: negative for money that goes to the bank.
    pub gross: i64,
    /// How many rows the payout carries.
    pub rows: u64,
}

impl PayoutRow {
    pub(crate) fn new(
        dice: Dice,
        payout_id: String,
        currency: Currency,
        gross: i64,
        rows: u64,
        effective_at: i64,
    ) -> Self {
        let number = currency_number(currency);
        let transaction = stripe_id("txn_3", dice, u64::MAX - number, Topic::BalanceTransaction, 0);
        Self {
            payout_id,
            balance_transaction_id: transaction,
            effective_at: instant(effective_at),
            currency,
            gross,
            rows,
        }
    }
}

fn currency_number(currency: Currency) -> u64 {
    super::CURRENCIES.iter().zip(0..).find(|(known, _)| **known == currency).map_or(0, |(_, number)| number)
}

/// The id of the payout of one day and currency.
pub(crate) fn payout_id(dice: Dice, currency: Currency) -> String {
    stripe_id("po_1", dice, currency_number(currency), Topic::Payout, 0)
}

/// An id in the channel's style: 16 letters that look random and 8 that make it unique.
fn stripe_id(prefix: &str, dice: Dice, index: u64, topic: Topic, copy: u8) -> String {
    let mut id = String::with_capacity(prefix.len() + 24);
    id.push_str(prefix);
    let copy = u64::from(copy) << 56;
    push_base62(&mut id, dice.draw(index ^ copy, topic), 10);
    push_base62(&mut id, dice.draw(index ^ copy, Topic::Detail) ^ dice.draw(0, topic), 6);
    push_base62(&mut id, index % 62_u64.pow(6), 6);
    push_base62(&mut id, copy >> 56, 1);
    id
}

/// Makes the rows of one UTC day's movements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer {
    channel: Channel,
    /// The channel's dice, from which those of every day branch off.
    every_day: Dice,
    dice: Dice,
}

impl Writer {
    pub(crate) fn new(channel: Channel, every_day: Dice, day: i64) -> Self {
        Self { channel, every_day, dice: every_day.branch(day.unsigned_abs()) }
    }

    /// The channel's id of something, in the channel's style.
    fn id(&self, prefix: &str, index: u64, topic: Topic) -> String {
        match self.channel {
            Channel::Stripe => stripe_id(prefix, self.dice, index, topic, 0),
            // 28 digits, as the Chinese channels write them: ten of the day, nine of chance, the case, the kind.
            _ => format!(
                "{:010}{:09}{:08}{}",
                self.dice.draw(0, topic) % 10_000_000_000,
                self.dice.draw(index, topic) % 1_000_000_000,
                index % 100_000_000,
                topic as u64 % 10
            ),
        }
    }

    fn pays_by_debit(&self, index: u64, currency: Currency) -> bool {
        currency == Currency::EUR && self.dice.one_in(index, Topic::Charge, 12)
    }

    fn charge_id(&self, index: u64, currency: Currency) -> String {
        let prefix = if self.pays_by_debit(index, currency) { "py_3" } else { "ch_3" };
        self.id(prefix, index, Topic::Charge)
    }

    fn source_id(&self, movement: &Movement, currency: Currency) -> String {
        match movement.kind {
            MovementKind::Payment => self.charge_id(movement.index, currency),
            MovementKind::Refund => self.id("re_3", movement.index, Topic::Refund),
            MovementKind::Dispute | MovementKind::DisputeReversal => {
                self.id("du_1", movement.index, Topic::Dispute)
            }
            MovementKind::Fee => String::new(),
        }
    }

    /// The currency that decides about the charge's prefix: the platform's, where it knows the payment.
    fn first_currency(movement: &Movement) -> Currency {
        movement
            .platform
            .map(|side| side.currency)
            .or(movement.channel.map(|side| side.currency))
            .unwrap_or(Currency::USD)
    }

    fn payment_no(movement: &Movement, copy: u8) -> String {
        let date = date_of(movement.at.div_euclid(SECONDS_A_DAY)).format("%Y%m%d");
        // A payment that was booked a second time has a number of its own.
        let number = movement.index + 900_000_000 * u64::from(copy);
        format!("PAY{date}{number:010}")
    }

    pub(crate) fn platform(&self, movement: &Movement, side: &PlatformSide, copy: u8) -> PlatformRow {
        let by_intent = movement.kind == MovementKind::Payment && side.known_by == KnownBy::Intent;
        let trade_no = if by_intent && self.channel == Channel::Stripe {
            self.id("pi_3", movement.index, Topic::Intent)
        } else {
            self.source_id(movement, Self::first_currency(movement))
        };
        let payment_no = Self::payment_no(movement, copy);
        let refund_no = (movement.kind == MovementKind::Refund).then(|| payment_no.replacen("PAY", "REF", 1));
        PlatformRow {
            payment_no,
            channel_trade_no: trade_no,
            amount: side.amount,
            currency: side.currency,
            status: side.status,
            created_at: instant(movement.at),
            merchant_id: self.merchant(movement.index),
            kind: movement.kind,
            refund_no,
        }
    }

    /// One of forty merchants.
    fn merchant(&self, index: u64) -> Uuid {
        let number = self.dice.below(index, Topic::Merchant, 40);
        let first = Dice::new(40).draw(number, Topic::Merchant).to_be_bytes();
        let second = Dice::new(41).draw(number, Topic::Merchant).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&first);
        bytes[8..].copy_from_slice(&second);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    pub(crate) fn channel(&self, movement: &Movement, side: &ChannelSide, copy: u8) -> ChannelRow {
        let index = movement.index;
        let is_fee = movement.kind == MovementKind::Fee;
        let first_currency = Self::first_currency(movement);
        let by_debit = self.pays_by_debit(index, first_currency);
        let unless_fee = |text: String| if is_fee { String::new() } else { text };
        let payout_day = payout_day(movement.at);
        let payout_dice = self.every_day.branch(payout_day.unsigned_abs());
        ChannelRow {
            balance_transaction_id: self.transaction_id(movement, copy),
            created: instant(movement.at),
            available_on: instant((movement.at.div_euclid(SECONDS_A_DAY) + 2) * SECONDS_A_DAY),
            currency: side.currency,
            gross: side.gross,
            fee: side.fee,
            net: side.gross - side.fee,
            kind: movement.kind,
            source_id: self.source_id(movement, first_currency),
            charge_id: unless_fee(self.charge_id(index, first_currency)),
            payment_intent_id: unless_fee(self.id("pi_3", index, Topic::Intent)),
            charge_created: self.charge_created(movement),
            description: self.description(movement),
            automatic_payout_id: payout_id(payout_dice, side.currency),
            automatic_payout_effective_at: instant(payout_day * SECONDS_A_DAY + PAYOUT_SECONDS),
            payment_method_type: match (is_fee, by_debit) {
                (true, _) => "",
                (false, true) => "sepa_debit",
                (false, false) => "card",
            },
            card_brand: if is_fee || by_debit { "" } else { self.card_brand(index) },
            payment_no: unless_fee(Self::payment_no(movement, 0)),
        }
    }

    fn transaction_id(&self, movement: &Movement, copy: u8) -> String {
        // A refund on the day of its payment shares the case's number; the sign of its id tells them apart.
        let copy = copy + if movement.kind == MovementKind::Refund { 8 } else { 0 };
        stripe_id("txn_3", self.dice, movement.index, Topic::BalanceTransaction, copy)
    }

    fn charge_created(&self, movement: &Movement) -> Option<Timestamp> {
        match movement.kind {
            MovementKind::Fee => None,
            MovementKind::Payment => Some(instant(movement.at)),
            _ => {
                let days_ago = 1 + self.dice.amount_below(movement.index, Topic::Merchant, 30);
                Some(instant(movement.at - days_ago * SECONDS_A_DAY))
            }
        }
    }

    fn card_brand(&self, index: u64) -> &'static str {
        match self.dice.below(index, Topic::Merchant, 10) {
            0..6 => "visa",
            6..9 => "mastercard",
            _ => "amex",
        }
    }

    fn description(&self, movement: &Movement) -> String {
        let number = movement.index;
        match movement.kind {
            MovementKind::Fee => {
                let date = date_of(movement.at.div_euclid(SECONDS_A_DAY));
                format!("Card payments ({date}): Transaction network costs")
            }
            MovementKind::Refund => format!("REFUND FOR CHARGE (Order {number})"),
            MovementKind::Dispute => format!("Chargeback withdrawal for order {number}"),
            MovementKind::DisputeReversal => format!("Chargeback reversal for order {number}"),
            MovementKind::Payment if self.dice.one_in(number, Topic::Detail, 50) => {
                format!("Order {number}, \"gift\"\nwrapped")
            }
            MovementKind::Payment => format!("Order {number}"),
        }
    }
}
