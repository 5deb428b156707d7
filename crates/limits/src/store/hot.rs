//! What a decision reads and writes: a fixed number of statements, whatever the size of the batch.

mod load;
mod peek;
mod save;

pub(crate) use load::{AccountRow, Lookup, PaymentRow, RateRow, ReleaseRow, Source, foreign, load, now};
pub(crate) use peek::{brought_up, complete, payment, peek, releases};
pub(crate) use save::save;
pub(super) use save::{Table, changed, insert};
