//! The typed client of payops, for payment gateways.
//!
//! [`LimitsClient`] asks whether a merchant may take a payment. Every call but a check names a `payment_no`, under which
//! the service does a thing once and answers the same thing for ever; so the client repeats a call whose answer was lost,
//! and nothing is counted twice.
//!
//! # When the service is away
//!
//! After the last attempt a call ends with [`CallError::Away`]. What a gateway does then is its own choice, and a choice
//! about money:
//!
//! - **Do not take the payment** (recommended). No limit is ever exceeded. If the lost call was a consume, it may have
//!   been counted: release the number later, which answers `PAYMENT_NOT_FOUND` when it was not.
//! - **Take it all the same**, up to an amount that the business is ready to lose, and consume it later under the same
//!   number: it is counted then, or declined, and a declined one is the loss.
//!
//! The client does not choose: it never turns silence into a yes.

mod limits;
mod transport;

pub use limits::{
    BatchAnswer, Charge, Confirm, Decision, Failure, LimitsClient, Operation, Release, Released, Reservation,
    Reserve, Void, WindowReturn,
};
pub use transport::{CallError, HeaderInjector, Refusal, Settings};
