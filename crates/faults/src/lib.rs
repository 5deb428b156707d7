//! Merchant limits under load while everything around them fails, and the proof that nothing was lost.
//!
//! [`campaign`] serves limits from real processes, sends them payments, injects faults, and then holds what the callers
//! were told against the database ([`checker`]): no acknowledged answer may be missing, no payment counted twice, no limit
//! exceeded, and the log must equal the counters. [`overload`] offers more than the service can take.
//!
//! It uses the typed client and its own SQL, and nothing of the service's code: what tests the service must not share its
//! mistakes.

pub mod campaign;
pub mod checker;
pub mod history;
pub mod overload;
pub mod plan;
pub mod site;

mod call;
mod injector;
mod instance;
mod load;
mod postgres;
mod process;
mod proxy;
mod story;
