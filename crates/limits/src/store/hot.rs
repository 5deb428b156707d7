//! What edits and views read and write: a fixed number of statements, however many merchants there are.

mod load;
mod peek;
mod save;

pub(crate) use load::{AccountRow, Lookup, PaymentRow, RateRow, ReleaseRow, Source, foreign, load, now};
pub(crate) use peek::{brought_up, complete, glance, payment, peek, releases};
pub(crate) use save::save;
pub(super) use save::{Table, changed, insert};
