//! The values every part of payops speaks in: money, currency, ids, time, randomness, pages.
//!
//! Nothing here is async, does IO or reads a global: the clock and the source of randomness are arguments.

pub mod currency;
pub mod id;
pub mod money;
pub mod page;
pub mod random;
pub mod time;
