//! What must not be overlooked of disputes: a deadline that comes near or has passed, a dispute of which nobody knows the
//! payment, an answer that was not taken.
//!
//! An alert, its row in the timeline and a job for every destination are written in one transaction; each job tries
//! until it has arrived or is given up.

pub mod event;
mod words;

use payops_platform::outbound::alerts::Alert;
pub use payops_platform::outbound::alerts::{Destination, Destinations, TIME_OUT};

use event::AlertEvent;

impl Alert for AlertEvent {
    fn id(&self) -> &str {
        &self.id
    }

    fn escalated(&self) -> bool {
        self.escalated
    }

    fn mail(&self) -> (String, String) {
        (words::subject(self), words::body(self))
    }
}
