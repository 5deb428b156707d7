//! What the callers were told.

/// One operation of a caller, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The merchant's place among the merchants of the set.
    pub merchant: u32,
    /// The payment's number is [`payment_no`] of this.
    pub payment: u64,
    /// What was asked.
    pub asked: Asked,
    /// In minor units: asked for by consume and reserve, counted by confirm, given back by release.
    pub amount: i64,
    /// What was answered.
    pub told: Told,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Count.
    Consume,
    /// Hold.
    Reserve,
    /// Count what is held.
    Confirm,
    /// Let go what is held.
    Void,
    /// Give back, under [`release_no`] of this number.
    Release(u8),
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was done.
    Done,
    /// A rule declined it, finally.
    Declined,
    /// No answer came until the caller gave up: it may have been done, or not.
    Nothing,
}

/// The number under which a payment goes over the wire.
pub fn payment_no(payment: u64) -> String {
    format!("P-{payment}")
}

/// The number of a payment's release.
pub fn release_no(number: u8) -> String {
    format!("R-{number}")
}
