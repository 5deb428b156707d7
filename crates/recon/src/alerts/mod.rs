//! What must not be overlooked of settlement files: one that is late, numbers and parts that no file has, and that they came
//! after all.
//!
//! An alert and a job for every destination are written in the transaction that notes the gap; each job tries until it has
//! arrived or is given up.

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
