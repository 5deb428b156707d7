//! What a decision reads and writes: a fixed number of statements, whatever the size of the batch.

mod load;
mod save;

pub(crate) use load::{Lookup, load};
pub(crate) use save::save;
