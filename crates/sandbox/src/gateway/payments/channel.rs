//! The channel that the gateway charges at, simulated: it does a thing once under one idempotency key.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use payops_core::money::Money;
use serde::{Deserialize, Serialize};

/// What the channel does with a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Card {
    /// It pays.
    #[default]
    Good,
    /// It is declined.
    Declined,
    /// It pays, and the answer to the first call is lost.
    AnswerLost,
}

/// A charge as the channel knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// What the gateway calls it, so that it is never made twice.
    pub idempotency_key: String,
    /// How much was asked for, in minor units.
    pub money: Money,
    /// Whether it was paid.
    pub paid: bool,
    /// How often it was asked for.
    pub calls: u32,
}

#[derive(Debug)]
pub(crate) struct SimulatedChannel(Mutex<BTreeMap<String, Charge>>);

impl SimulatedChannel {
    pub(super) fn new(charges: Vec<Charge>) -> Self {
        let by_key = charges.into_iter().map(|charge| (charge.idempotency_key.clone(), charge));
        Self(Mutex::new(by_key.collect()))
    }

    pub(crate) fn charges(&self) -> Vec<Charge> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Charges, unless it has under this key. `None` is an answer that was lost.
    pub(super) fn charge(&self, key: &str, money: Money, card: Card) -> Option<bool> {
        let mut charges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let charge = charges.entry(key.to_owned()).or_insert_with(|| Charge {
            idempotency_key: key.to_owned(),
            money,
            paid: card != Card::Declined,
            calls: 0,
        });
        charge.calls += 1;
        (card != Card::AnswerLost || charge.calls > 1).then_some(charge.paid)
    }
}
