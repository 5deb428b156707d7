//! The typed client of payops, for payment gateways.
//!
//! [`LimitsClient`] asks whether a merchant may take a payment. A call ends in one of four ways:
//!
//! - **decided**: a [`Decision`], a yes or a no. A no is an answer with its [`Rule`]s, and final for its number;
//! - [`CallError::Refused`]: the call is wrong as it stands (no such merchant, a missing rate, other parameters under a
//!   known number). Nothing has happened, and sending it again does not help;
//! - [`CallError::Away`]: there was no answer in time, or the service said that it cannot now;
//! - [`CallError::Unreadable`]: something answered that is not the service.
//!
//! # Asking again
//!
//! Every call but a check names a `payment_no`, under which the service does a thing once and gives the same answer for
//! ever (`replayed` tells that it did). So the client repeats a call whose answer was lost, and nothing is counted twice.
//! It pauses between attempts, longer each time and by a random part, waits as long as `Retry-After` says, and gives up
//! when its attempts are used up or the whole time of the call would be over ([`Settings`]).
//!
//! # When the service is away
//!
//! What a gateway does then is its own choice, and a choice about money. [`LimitsClient::admit`] makes it say which:
//!
//! - [`WhenAway::Decline`] (recommended): do not take the payment. No limit is ever exceeded. The lost call may have been
//!   counted, so [`LimitsClient::take_back`] later; or reserve and confirm instead of consuming: a reservation that nobody
//!   confirms ends by itself.
//! - [`WhenAway::TakeUpTo`]: take it all the same, within bounds that the business is ready to lose, and consume it later
//!   under the same number: it is counted then, or declined, and a declined one is the loss.
//!
//! The client never turns silence into a yes by itself.

mod away;
mod batch;
mod error;
mod limits;
mod transport;
mod wire;

pub use away::{Admission, StandIn, WhenAway};
pub use batch::{Operation, Outcome};
pub use error::{Absence, CallError, Refusal};
pub use limits::LimitsClient;
pub use transport::{HeaderInjector, Settings};
pub use wire::{
    Charge, Confirm, Decision, Failure, Release, Released, Reservation, ReservationStatus, Reserve, Rule,
    Void, WindowReturn,
};
